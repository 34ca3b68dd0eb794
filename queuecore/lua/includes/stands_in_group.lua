--- @include "includes/group_of"
-- Whether a job of `waiting-children` waits there for its turn in a group, not for children.
local function stands_in_group(base, id)
  local own = 'qc:' .. base
  if redis.call('EXISTS', own .. 'grouped') == 0 then
    return false
  elseif redis.call('ZSCORE', own .. 'group-delayed', id) then
    return true
  end
  local opts = redis.pcall('HGET', base .. id, 'opts')
  local group = type(opts) == 'string' and group_of(opts)
  return group and redis.call('ZSCORE', own .. 'group:' .. group, id) and true or false
end

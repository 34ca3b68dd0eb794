--- @include "includes/group_of"
-- The group of a job and its priority there; nothing if it has none, or its queue never had groups.
local function group_of_job(base, id)
  if redis.call('EXISTS', 'qc:' .. base .. 'grouped') == 0 then
    return nil
  end
  local opts = redis.pcall('HGET', base .. id, 'opts')
  return group_of(type(opts) == 'string' and opts)
end

--- @include "includes/add_group_marker"
--- @include "includes/enter_group"
--- @include "includes/group_of"
-- Let a job that is to run again wait in its group, behind the others unless `lifo`; whether it has one.
local function wait_in_group(base, id, lifo, blocked)
  if redis.call('EXISTS', 'qc:' .. base .. 'grouped') == 0 then
    return false
  end
  local opts = redis.pcall('HGET', base .. id, 'opts')
  local group, priority = group_of(type(opts) == 'string' and opts)
  if not group then
    return false
  end
  enter_group(base, id, group, priority, lifo, nil)
  add_group_marker(base, blocked)
  return true
end

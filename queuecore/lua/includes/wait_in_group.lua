--- @include "includes/add_group_marker"
--- @include "includes/enter_group"
--- @include "includes/group_of_job"
-- Let a job that is to run again wait in its group, behind the others unless `lifo`; whether it has one.
local function wait_in_group(base, id, lifo, blocked)
  local group, priority = group_of_job(base, id)
  if not group then
    return false
  end
  enter_group(base, id, group, priority, lifo, nil)
  add_group_marker(base, blocked)
  return true
end

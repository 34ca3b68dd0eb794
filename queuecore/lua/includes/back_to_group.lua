--- @include "includes/add_group_marker"
--- @include "includes/enter_group"
--- @include "includes/leave_group"
-- Put a running job of a group back as the next of its group, where it stood; whether it was one.
-- Nothing else is done where it was not.
local function back_to_group(base, id, blocked)
  local group, score = leave_group(base, id)
  if not group then
    return false
  end
  enter_group(base, id, group, 0, false, score)
  add_group_marker(base, blocked)
  return true
end

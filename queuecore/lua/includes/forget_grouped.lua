--- @include "includes/forget_group"
--- @include "includes/group_of_job"
--- @include "includes/leave_group"
--- @include "includes/leave_later"
-- Forget that a job which goes stands or runs in a group. Its hash is still there.
local function forget_grouped(base, id)
  local own = 'qc:' .. base
  if redis.call('EXISTS', own .. 'grouped') == 0 then
    return
  end
  leave_group(base, id)
  local group = group_of_job(base, id)
  if not group then
    return
  end
  if redis.call('ZREM', own .. 'group:' .. group, id) == 1 then
    forget_group(base, group)
  elseif redis.call('ZSCORE', own .. 'group-later:' .. group, id) then
    leave_later(base, group, { id })
  end
end

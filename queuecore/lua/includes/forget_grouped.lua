--- @include "includes/group_of"
--- @include "includes/leave_group"
-- Forget that a job which goes stands or runs in a group. Its hash is still there.
local function forget_grouped(base, id)
  local own = 'qc:' .. base
  if redis.call('EXISTS', own .. 'grouped') == 0 then
    return
  end
  leave_group(base, id)
  local opts = redis.pcall('HGET', base .. id, 'opts')
  local group = type(opts) == 'string' and group_of(opts)
  redis.call('ZREM', own .. 'group-delayed', id)
  if group and redis.call('ZREM', own .. 'group:' .. group, id) == 1
      and redis.call('EXISTS', own .. 'group:' .. group) == 0 then
    redis.call('ZREM', own .. 'groups', group)
    redis.call('ZREM', own .. 'groups-limited', group)
    redis.call('SREM', own .. 'groups-maxed', group)
  end
end

--- @include "includes/text"
--- @include "includes/group_turn"
-- Forget that a job runs as one of its group, and let the group go on if that kept it. Returns the
-- group and the job's score in it; nothing if the job runs ungrouped.
local function leave_group(base, id)
  local own = 'qc:' .. base
  local kept = redis.call('HGET', own .. 'group-active', id)
  if not kept then
    return nil
  end
  local score, group = string.match(kept, '^(%S+) (.*)$')
  redis.call('HDEL', own .. 'group-active', id)
  if redis.call('HINCRBY', own .. 'group-running', group, -1) <= 0 then
    redis.call('HDEL', own .. 'group-running', group)
  end
  if redis.call('SREM', own .. 'groups-maxed', group) == 1 then
    redis.call('ZADD', own .. 'groups', 'NX', text(group_turn(base)), group)
  end
  return group, tonumber(score)
end

--- @include "includes/enter_group"
--- @include "includes/group_of"
--- @include "includes/leave_later"
-- Let grouped jobs that are due at `now` (ms) wait in their groups, and groups whose rate limit is over
-- go on; at most 500 of each a call. A job that stands in `waiting-children` no more is dropped.
local function promote_groups(base, now)
  local own = 'qc:' .. base
  local latest = text((tonumber(now) + 1) * 4096 - 1)
  local groups = redis.call('ZRANGEBYSCORE', own .. 'group-delayed', 0, latest, 'LIMIT', 0, 500)
  local left = 500
  for i = 1, #groups do
    if left <= 0 then
      break
    end
    local group = groups[i]
    local due = redis.call('ZRANGEBYSCORE', own .. 'group-later:' .. group, 0, latest, 'LIMIT', 0, left)
    left = left - math.max(#due, 1)
    leave_later(base, group, due)
    for j = 1, #due do
      local id = due[j]
      local job = base .. id
      local row = redis.pcall('HMGET', job, 'timestamp', 'opts')
      if row[1] and redis.call('ZSCORE', base .. 'waiting-children', id) then
        local _, priority = group_of(row[2])
        enter_group(base, id, group, priority or 0, false, nil, row[1])
        redis.call('HSET', job, 'delay', '0')
        redis.call('XADD', base .. 'events', '*', 'event', 'waiting', 'jobId', id, 'prev', 'delayed')
      end
    end
  end
  local free = redis.call('ZRANGEBYSCORE', own .. 'groups-limited', 0, now, 'LIMIT', 0, 500)
  for i = 1, #free do
    redis.call('ZREM', own .. 'groups-limited', free[i])
    redis.call('ZADD', own .. 'groups', 'NX', text(group_turn(base)), free[i])
  end
end

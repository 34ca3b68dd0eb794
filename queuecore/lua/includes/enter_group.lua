--- @include "includes/text"
--- @include "includes/group_turn"
-- Let a job wait in its group: behind the others of its priority, before them with `lifo`, or where it
-- was by its old score. The group gets its turn unless it is paused, at its concurrency or limited.
-- `stamp` is when the job was made, if that is known already.
local function enter_group(base, id, group, priority, lifo, old, stamp)
  local own = 'qc:' .. base
  local turn = group_turn(base)
  local place = turn % 2147483648
  local score = old or priority * 4294967296 + 2147483648 + (lifo and -place or place)
  stamp = tonumber(stamp or redis.call('HGET', base .. id, 'timestamp')) or 0
  redis.call('ZADD', base .. 'waiting-children', text(stamp), id)
  redis.call('ZADD', own .. 'group:' .. group, text(score), id)
  if redis.call('SISMEMBER', own .. 'groups-paused', group) == 0
      and redis.call('SISMEMBER', own .. 'groups-maxed', group) == 0
      and not redis.call('ZSCORE', own .. 'groups-limited', group) then
    redis.call('ZADD', own .. 'groups', 'NX', text(turn), group)
  end
end

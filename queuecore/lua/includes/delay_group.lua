--- @include "includes/text"
--- @include "includes/group_turn"
-- Let a job of a group come at `due` (ms); those of one millisecond come in the order of their adding.
local function delay_group(base, id, group, due, stamp)
  local own = 'qc:' .. base
  local score = text(due * 4096 + group_turn(base) % 4096)
  stamp = tonumber(stamp or redis.call('HGET', base .. id, 'timestamp')) or 0
  redis.call('ZADD', base .. 'waiting-children', text(stamp), id)
  redis.call('ZADD', own .. 'group-later:' .. group, score, id)
  redis.call('ZADD', own .. 'group-delayed', 'LT', score, group)
end

--- @include "includes/text"
--- @include "includes/group_turn"
-- Let a grouped job come at `due` (ms); those of one millisecond come in the order of their adding.
local function delay_group(base, id, due, stamp)
  stamp = tonumber(stamp or redis.call('HGET', base .. id, 'timestamp')) or 0
  redis.call('ZADD', base .. 'waiting-children', text(stamp), id)
  redis.call('ZADD', 'qc:' .. base .. 'group-delayed', text(due * 4096 + group_turn(base) % 4096), id)
end

--- @include "includes/text"
--- @include "includes/group_turn"
--- @include "includes/leave_later"
-- Let a job of a group come at `due` (ms); those of one millisecond come in the order of their adding.
local function delay_group(base, id, group, due, stamp)
  local score = text(due * 4096 + group_turn(base) % 4096)
  stamp = tonumber(stamp or redis.call('HGET', base .. id, 'timestamp')) or 0
  redis.call('ZADD', base .. 'waiting-children', text(stamp), id)
  redis.call('ZADD', 'qc:' .. base .. 'group-later:' .. group, score, id)
  leave_later(base, group, {})
end

--- @include "includes/text"
-- Tell our idle workers what of the groups may run now (unless `blocked`), and when there is more.
local function add_group_marker(base, blocked)
  local own = 'qc:' .. base
  if not blocked and redis.call('EXISTS', own .. 'groups') == 1 then
    redis.pcall('ZADD', own .. 'marker', 0, '0')
  end
  local first = redis.call('ZRANGE', own .. 'group-delayed', 0, 0, 'WITHSCORES')
  local limited = redis.call('ZRANGE', own .. 'groups-limited', 0, 0, 'WITHSCORES')
  local due = first[2] and math.floor(tonumber(first[2]) / 4096)
  local free = tonumber(limited[2])
  if due or free then
    redis.pcall('ZADD', own .. 'marker', text(math.min(due or free, free or due)), '1')
  end
end

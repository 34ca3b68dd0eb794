--- @include "includes/text"
-- Tell idle workers when the next delayed job is due.
local function add_delay_marker(base)
  local first = redis.call('ZRANGE', base .. 'delayed', 0, 0, 'WITHSCORES')
  if first[2] then
    redis.pcall('ZADD', base .. 'marker', text(math.floor(tonumber(first[2]) / 4096)), '1')
  end
end

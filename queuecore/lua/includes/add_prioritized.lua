--- @include "includes/text"
-- Put a job into `prioritized` behind the others of its priority; before them if the counter that
-- keeps their order is broken.
local function add_prioritized(base, id, priority)
  local turn = redis.pcall('INCR', base .. 'pc')
  turn = type(turn) == 'number' and turn % 4294967296 or 0
  redis.call('ZADD', base .. 'prioritized', text(priority * 4294967296 + turn), id)
end

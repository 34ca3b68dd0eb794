--- @include "includes/text"
-- Put a job into `prioritized` behind the others of its priority.
local function add_prioritized(base, id, priority)
  local turn = redis.call('INCR', base .. 'pc') % 4294967296
  redis.call('ZADD', base .. 'prioritized', text(priority * 4294967296 + turn), id)
end

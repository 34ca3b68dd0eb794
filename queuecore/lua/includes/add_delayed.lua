--- @include "includes/text"
-- Put a job into `delayed`, due at `due` (ms). The low 12 bits of the score keep the order of the
-- jobs that are due in the same millisecond.
local function add_delayed(base, id, due)
  local first = due * 4096
  local last = first + 4095
  local taken = redis.call('ZREVRANGEBYSCORE', base .. 'delayed', text(last), text(first),
    'WITHSCORES', 'LIMIT', 0, 1)
  local score = first
  if taken[2] then
    score = math.min(tonumber(taken[2]) + 1, last)
  end
  redis.call('ZADD', base .. 'delayed', text(score), id)
end

-- Say which named limits a queue belongs to, and what the settings allow each of them.
--
-- KEYS: limits, known
-- ARGV: root, queue, declared... (3 each: name, concurrency, rate)
-- Returns: 0
-- Errors: none
-- Follows: none
--
-- root: what the keys of limits begin with. queue: "<prefix>:<queue>". rate: "max,duration" (ms). What
-- is empty is not limited. What somebody has set by hand stands beside it, and counts instead.
--- @include "includes/leave_limit"
--- @include "includes/wake_limited"
local rcall = redis.call
local queue, lines, named = ARGV[2], {}, {}
for i = 3, #ARGV, 3 do
  local key = ARGV[1] .. ARGV[i]
  lines[#lines + 1] = key
  named[key] = true
end
for key in string.gmatch(rcall('GET', KEYS[1]) or '', '[^\n]+') do
  if not named[key] then
    leave_limit(key, queue, KEYS[2])
  end
end
for i = 3, #ARGV, 3 do
  local key = ARGV[1] .. ARGV[i]
  rcall('SADD', KEYS[2], ARGV[i])
  rcall('SADD', key .. ':queues', queue)
  rcall('HSET', key, 'declared-concurrency', ARGV[i + 1], 'declared-rate', ARGV[i + 2])
  wake_limited(key, true)
end
if #lines > 0 then
  rcall('SET', KEYS[1], table.concat(lines, '\n'))
else
  rcall('DEL', KEYS[1])
end
return 0

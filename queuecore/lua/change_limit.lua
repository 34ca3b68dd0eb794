-- Change by hand what a named limit allows, give it back to the settings, or remove it.
--
-- KEYS: known, limit
-- ARGV: name, change ("concurrency", "rate", "reset", "remove"), value, declared ("1" or "0")
-- Returns: 1 if something changed, else 0, or a code
-- Errors: -1 no such limit
-- Follows: none
--
-- value: the concurrency, or "max,duration" (ms); "" is without limit. declared: whether the settings
-- know it, so that it may be set before any worker has begun. Its waiting queues look again.
--- @include "includes/text"
--- @include "includes/wake_limited"
local rcall = redis.call
local key, change, value = KEYS[2], ARGV[2], ARGV[3]
if rcall('SISMEMBER', KEYS[1], ARGV[1]) == 0 then
  if change == 'reset' or change == 'remove' or ARGV[4] == '0' then
    return ARGV[4] == '1' and 0 or -1
  end
  rcall('SADD', KEYS[1], ARGV[1])
end
wake_limited(key, true)
if change == 'remove' then
  local queues = rcall('SMEMBERS', key .. ':queues')
  for i = 1, #queues do
    local own, lines = 'qc:' .. queues[i] .. ':limits', {}
    for line in string.gmatch(rcall('GET', own) or '', '[^\n]+') do
      if line ~= key then
        lines[#lines + 1] = line
      end
    end
    if #lines > 0 then
      rcall('SET', own, table.concat(lines, '\n'))
    else
      rcall('DEL', own)
    end
  end
  rcall('SREM', KEYS[1], ARGV[1])
  rcall('DEL', key, key .. ':queues', key .. ':used', key .. ':waiting')
  return 1
end
local before = rcall('HMGET', key, 'concurrency', 'rate')
if change == 'reset' then
  rcall('HDEL', key, 'concurrency', 'rate')
else
  rcall('HSET', key, change, value)
end
local after = rcall('HMGET', key, 'concurrency', 'rate', 'declared-rate')
-- A window of the rate before lasts no longer than one of the rate now.
local duration = tonumber(string.match(after[2] or after[3] or '', ',(%d+)$'))
if not duration then
  rcall('DEL', key .. ':used')
elseif rcall('PTTL', key .. ':used') > duration then
  rcall('PEXPIRE', key .. ':used', text(duration))
end
return (before[1] ~= after[1] or before[2] ~= after[2]) and 1 or 0

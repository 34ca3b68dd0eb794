-- Lead the collection of history for a while longer, and store what the leader has counted.
--
-- KEYS: lock, seconds, minutes, quarters
-- ARGV: token, ttl (ms; 0 lets go),
--   most_seconds, keep_seconds (s that an unused list stays), second (a record, or empty),
--   most_minutes, keep_minutes, minute, most_quarters, keep_quarters, quarter
-- Returns: 1 if the token leads now, else 0; then nothing was stored
-- Errors: none
-- Follows: nothing of BullMQ; these keys are ours
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])

local function ended(record)
  return tonumber(string.match(record or '', '^{"t":(%d+),')) or 0
end

for i = 2, 4 do
  local most, keep, record = ARGV[3 * i - 3], ARGV[3 * i - 2], ARGV[3 * i - 1]
  -- A quarter can be made anew from the minutes: whoever does may not know that it is there.
  if record ~= '' and (i < 4 or ended(record) > ended(redis.call('LINDEX', KEYS[i], 0) or '')) then
    redis.call('LPUSH', KEYS[i], record)
    redis.call('LTRIM', KEYS[i], 0, most - 1)
    redis.call('EXPIRE', KEYS[i], keep)
  end
end
return 1

-- Lead the collection of history for a while longer, and store what the leader has counted.
--
-- KEYS: lock, seconds, minutes
-- ARGV: token, ttl (ms; 0 lets go), most_seconds, most_minutes, keep (s that an unused list stays),
--   second (a record, or empty), minute (a record, or empty)
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
for i = 2, 3 do
  local record = ARGV[i + 4]
  if record ~= '' then
    redis.call('LPUSH', KEYS[i], record)
    redis.call('LTRIM', KEYS[i], 0, ARGV[i + 1] - 1)
    redis.call('EXPIRE', KEYS[i], ARGV[5])
  end
end
return 1

-- Say for how long a rate limit still holds workers back.
--
-- KEYS: limiter, meta
-- ARGV: max_jobs ("" for the queue's own)
-- Returns: ms: 0 if the limit is not reached; with no limit known, the life of the counter (-2 none)
-- Errors: none
-- Follows: BullMQ getRateLimitTtl
local rcall = redis.call
local max = tonumber(ARGV[1]) or tonumber(rcall('HGET', KEYS[2], 'max'))
if not max then
  return rcall('PTTL', KEYS[1])
end
if (tonumber(rcall('GET', KEYS[1])) or 0) < max then
  return 0
end
local ttl = rcall('PTTL', KEYS[1])
if ttl == 0 then
  rcall('DEL', KEYS[1])
end
return math.max(ttl, 0)

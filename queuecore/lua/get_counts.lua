-- Count the jobs in each state, all at one moment.
--
-- KEYS: lists and sets...
-- ARGV: none
-- Returns: a count a key
-- Errors: none
-- Follows: BullMQ getCounts
local counts = {}
for i = 1, #KEYS do
  local kind = redis.call('TYPE', KEYS[i]).ok
  counts[i] = kind == 'list' and redis.call('LLEN', KEYS[i])
    or kind == 'zset' and redis.call('ZCARD', KEYS[i]) or 0
end
return counts

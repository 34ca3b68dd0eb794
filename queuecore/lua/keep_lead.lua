-- Lead the running of operations for a while longer, and hear whether there is news of them.
--
-- KEYS: lock, bell (counts each change of an operation)
-- ARGV: token, ttl (ms; 0 lets go)
-- Returns: {1 if the token leads now, else 0, the bell's count}
-- Errors: none
-- Follows: nothing of BullMQ; these keys are ours
local holder = redis.call('GET', KEYS[1])
local rung = tonumber(redis.call('GET', KEYS[2])) or 0
if holder and holder ~= ARGV[1] then
  return { 0, rung }
end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return { 0, rung }
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return { 1, rung }

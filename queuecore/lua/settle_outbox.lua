-- Forget jobs of an outbox whose rows are deleted; go on holding it, or let it go.
--
-- KEYS: outbox
-- ARGV: holder, now, lease (ms; 0 lets go), tokens...
-- Returns: 1, or 0: another relay has it, which forgets them itself
-- Errors: none
-- Follows: nothing of BullMQ; this key is ours
local rcall = redis.call
if rcall('HGET', KEYS[1], 'holder') ~= ARGV[1] then
  return 0
end
if #ARGV > 3 then
  rcall('HDEL', KEYS[1], unpack(ARGV, 4))
end
if ARGV[3] == '0' then
  rcall('HDEL', KEYS[1], 'holder', 'until')
else
  rcall('HSET', KEYS[1], 'until', string.format('%.0f', tonumber(ARGV[2]) + tonumber(ARGV[3])))
end
return 1

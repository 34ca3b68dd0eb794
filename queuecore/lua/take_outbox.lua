-- Let one relay have a queue's outbox for a while, and tell it what another may have left half done.
--
-- KEYS: outbox
-- ARGV: holder, now, lease (ms)
-- Returns: {1, token, ...} (jobs that were added while their rows may be there), or {0}: another has it
-- Errors: none
-- Follows: nothing of BullMQ; this key is ours
--
-- Who has it is the one whose jobs are added: one that took too long is refused from then on, however
-- late its calls arrive. Where the server's clock was set back, a lease does not last the longer.
local rcall = redis.call
local now, lease = tonumber(ARGV[2]), tonumber(ARGV[3])
local there = rcall('HMGET', KEYS[1], 'holder', 'until')
if there[1] and there[1] ~= ARGV[1] then
  local left = tonumber(there[2]) - now
  if left > 0 and left <= lease then
    return { 0 }
  end
end
rcall('HSET', KEYS[1], 'holder', ARGV[1], 'until', string.format('%.0f', now + lease))
local answer = { 1 }
for _, field in ipairs(rcall('HKEYS', KEYS[1])) do
  if field ~= 'holder' and field ~= 'until' then
    answer[#answer + 1] = field
  end
end
return answer

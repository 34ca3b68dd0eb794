-- What a named limit allows, and what its queues use of it.
--
-- KEYS: limit
-- ARGV: now
-- Returns: {concurrency, rate, declared concurrency, declared rate, used, ms left, queue, running, waits,
--   ...} (a queue that waits for its turn: 1), or nothing if there is no such limit
-- Errors: none
-- Follows: none
--
-- The first two are "-" where nobody has set them by hand.
local rcall = redis.call
local key = KEYS[1]
local row = rcall('HMGET', key, 'concurrency', 'rate', 'declared-concurrency', 'declared-rate')
if not (row[1] or row[2] or row[3]) then
  return {}
end
local left = math.max(rcall('PTTL', key .. ':used'), 0)
local found = { row[1] or '-', row[2] or '-', row[3] or '', row[4] or '',
  left > 0 and tonumber(rcall('GET', key .. ':used')) or 0, left }
local queues = rcall('SMEMBERS', key .. ':queues')
table.sort(queues)
for i = 1, #queues do
  local waits = rcall('HGET', key .. ':waiting', queues[i])
  local till = waits and tonumber(string.match(waits, ' (%d+)$'))
  found[#found + 1] = queues[i]
  found[#found + 1] = rcall('LLEN', queues[i] .. ':active')
  found[#found + 1] = till and till >= tonumber(ARGV[1]) and 1 or 0
end
return found

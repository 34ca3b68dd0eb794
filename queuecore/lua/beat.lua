-- Take the word of a process for how its workers are, and give it the orders that lie there for it.
--
-- KEYS: workers, record, recent, orders
-- ARGV: process, now, keep (ms), most_orders, said, minutes (or empty: not told this time)
-- Returns: {1 if all was written, else 0, orders {...}}
-- Errors: none
-- Follows: nothing of BullMQ; these keys are ours
--
-- Each write may be refused by itself (a full server, a key of another type): orders are read anyway.
--- @include "includes/text"
local now, keep = tonumber(ARGV[2]), tonumber(ARGV[3])
local orders = redis.pcall('LRANGE', KEYS[4], '-' .. ARGV[4], -1)
local written = 1

local function write(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    written = 0
  end
end

write('SET', KEYS[2], ARGV[5], 'PX', ARGV[3])
write('ZADD', KEYS[1], ARGV[2], ARGV[1])
if ARGV[6] ~= '' then
  -- Once a minute the index is also rid of those that have been silent for too long.
  write('SET', KEYS[3], ARGV[6], 'PX', ARGV[3])
  write('ZREMRANGEBYSCORE', KEYS[1], '-inf', text(now - keep))
  write('PEXPIRE', KEYS[1], text(2 * keep))
end
return { written, orders.err and {} or orders }

-- Begin a chunk of an operation, or go on with it where another process has left it.
--
-- KEYS: receipt
-- ARGV: owner, chunk, keep (s)
-- Returns: {1, last step, place, done, skipped, failed, {id, reason, ...}} of the chunk so far; {0} if a
--   later chunk was begun already
-- Errors: none
-- Follows: nothing of BullMQ; the key is ours
local row = redis.call('HMGET', KEYS[1], 'chunk', 'step', 'place', 'done', 'skipped', 'failed', 'why')
local chunk = tonumber(row[1]) or -1
if chunk > tonumber(ARGV[2]) then
  return { 0 }
end
if chunk < tonumber(ARGV[2]) then
  row = { ARGV[2], '0', '', '0', '0', '0', cmsgpack.pack({}) }
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'chunk', row[1], 'step', row[2], 'place', row[3],
  'done', row[4], 'skipped', row[5], 'failed', row[6], 'why', row[7])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return { 1, tonumber(row[2]), row[3], tonumber(row[4]), tonumber(row[5]), tonumber(row[6]),
  cmsgpack.unpack(row[7]) }

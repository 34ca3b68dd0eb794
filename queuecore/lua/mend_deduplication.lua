-- Free deduplication ids whose owner is gone and that never run out.
--
-- KEYS: meta
-- ARGV: base, dry ("1": write nothing), ids...
-- Returns: the deduplication ids that were freed
-- Errors: none
-- Follows: no BullMQ operation
--
-- With a time to live the id outlives its job on purpose.
local rcall = redis.call
local mended = {}
for i = 3, #ARGV do
  local key = ARGV[1] .. 'de:' .. ARGV[i]
  local owner = redis.pcall('GET', key)
  if type(owner) == 'string' and rcall('PTTL', key) == -1
      and rcall('EXISTS', ARGV[1] .. owner) == 0 then
    if ARGV[2] ~= '1' then
      rcall('DEL', key, ARGV[1] .. 'dn:' .. ARGV[i])
    end
    mended[#mended + 1] = ARGV[i]
  end
end
return mended

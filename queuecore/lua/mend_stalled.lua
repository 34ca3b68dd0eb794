-- Mark active jobs without a lock, so that the next check of any worker recovers them.
--
-- KEYS: active, stalled
-- ARGV: base, longest, ids...
-- Returns: the ids marked now; -1 where `active` is longer than `longest`: to walk it would take long
-- Errors: none
-- Follows: no BullMQ operation
--
-- As the first half of BullMQ's moveStalledJobsToWait: whether it stalled is decided by the second.
--- @include "includes/count_of"
local rcall = redis.call
if count_of('LLEN', KEYS[1]) > tonumber(ARGV[2]) then
  return -1
end
local mended = {}
for i = 3, #ARGV do
  local id = ARGV[i]
  if rcall('EXISTS', ARGV[1] .. id .. ':lock') == 0 and rcall('LPOS', KEYS[1], id)
      and rcall('SADD', KEYS[2], id) == 1 then
    mended[#mended + 1] = id
  end
end
return mended

-- Delete locks of jobs that no worker runs.
--
-- KEYS: active
-- ARGV: base, dry ("1": write nothing), longest, ids...
-- Returns: the ids whose lock went; -1 where `active` is longer than `longest`: to walk it would
--   take long
-- Errors: none
-- Follows: no BullMQ operation
--- @include "includes/count_of"
--- @include "includes/is_job"
local rcall = redis.call
if count_of('LLEN', KEYS[1]) > tonumber(ARGV[3]) then
  return -1
end
local mended = {}
for i = 4, #ARGV do
  local lock = ARGV[1] .. ARGV[i] .. ':lock'
  if rcall('EXISTS', lock) == 1 and not is_job(lock) and not rcall('LPOS', KEYS[1], ARGV[i]) then
    if ARGV[2] ~= '1' then
      rcall('DEL', lock)
    end
    mended[#mended + 1] = ARGV[i]
  end
end
return mended

-- Add rows to the log of a job and keep the newest.
--
-- KEYS: job, logs
-- ARGV: keep (0 is all), rows...
-- Returns: how many rows there are now, or a code
-- Errors: -1 no such job
-- Follows: BullMQ addLog
--- @include "includes/is_job"
local rcall = redis.call
if not is_job(KEYS[1]) then
  return -1
end
local count = rcall('RPUSH', KEYS[2], unpack(ARGV, 2))
local keep = tonumber(ARGV[1])
if keep > 0 and count > keep then
  rcall('LTRIM', KEYS[2], -keep, -1)
  return keep
end
return count

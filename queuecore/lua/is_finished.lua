-- Say whether a job is finished, and with what.
--
-- KEYS: job, completed, failed
-- ARGV: id
-- Returns: {0} not yet, {1, returnvalue}, {2, failed reason}, or {code}
-- Errors: -1 no such job
-- Follows: BullMQ isFinished
--- @include "includes/is_job"
local rcall = redis.call
if not is_job(KEYS[1]) then
  return { -1 }
end
if rcall('ZSCORE', KEYS[2], ARGV[1]) then
  return { 1, rcall('HGET', KEYS[1], 'returnvalue') }
end
if rcall('ZSCORE', KEYS[3], ARGV[1]) then
  return { 2, rcall('HGET', KEYS[1], 'failedReason') }
end
return { 0 }

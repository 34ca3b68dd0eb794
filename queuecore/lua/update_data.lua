-- Replace the payload of a job.
--
-- KEYS: job
-- ARGV: data
-- Returns: 0, or a code
-- Errors: -1 no such job
-- Follows: BullMQ updateData
--- @include "includes/is_job"
if not is_job(KEYS[1]) then
  return -1
end
redis.call('HSET', KEYS[1], 'data', ARGV[1])
return 0

-- Note how far a job is, and tell.
--
-- KEYS: meta, events
-- ARGV: base, id, progress
-- Returns: 0, or a code
-- Errors: -1 no such job
-- Follows: BullMQ updateProgress
--- @include "includes/is_job"
local rcall = redis.call
local job = ARGV[1] .. ARGV[2]
if not is_job(job) then
  return -1
end
rcall('HSET', job, 'progress', ARGV[3])
rcall('XADD', KEYS[2], 'MAXLEN', '~', rcall('HGET', KEYS[1], 'opts.maxLenEvents') or '10000', '*',
  'event', 'progress', 'jobId', ARGV[2], 'data', ARGV[3])
return 0

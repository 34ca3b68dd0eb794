-- Let a running job come back later; the try is not counted.
--
-- KEYS: delayed, events, meta, wait, prioritized
-- ARGV: base, id, token, delay, due
-- Returns: 0, or a code
-- Errors: -1 no such job, -2 no lock, -3 not active, -6 another's lock
-- Follows: BullMQ moveToDelayed (skipAttempt)
--- @include "includes/add_marker"
--- @include "includes/add_delayed"
--- @include "includes/add_delay_marker"
--- @include "includes/leave_active"
--- @include "includes/add_group_marker"
--- @include "includes/delay_group"
--- @include "includes/leave_group"
local rcall = redis.call
local base, id = ARGV[1], ARGV[2]
local code = leave_active(base, id, ARGV[3])
if code then
  return code
end
rcall('HSET', base .. id, 'delay', ARGV[4])
local group = leave_group(base, id)
if group then
  delay_group(base, id, group, tonumber(ARGV[5]))
else
  add_delayed(base, id, tonumber(ARGV[5]))
end
local meta = rcall('HMGET', KEYS[3], 'opts.maxLenEvents', 'concurrency', 'paused')
rcall('XADD', KEYS[2], 'MAXLEN', '~', meta[1] or '10000', '*',
  'event', 'delayed', 'jobId', id, 'delay', ARGV[5])
add_delay_marker(base)
add_group_marker(base, meta[3])
if meta[2] and not meta[3] and rcall('EXISTS', KEYS[4], KEYS[5]) > 0 then
  add_marker(base, false) -- its slot of the global concurrency is free again
end
return 0

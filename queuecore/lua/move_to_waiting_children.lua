-- Let a running job wait for its children, or for one of them.
--
-- KEYS: waiting-children, events
-- ARGV: base, id, token, child (its key, "" is any), now
-- Returns: 0, 1 if there is nothing to wait for (then it still runs), or a code
-- Errors: -1 no such job, -2 no lock, -3 not active, -6 another's lock, -9 failed children
-- Follows: BullMQ moveToWaitingChildren
--- @include "includes/add_marker"
--- @include "includes/is_job"
--- @include "includes/leave_active"
--- @include "includes/add_group_marker"
--- @include "includes/leave_group"
local rcall = redis.call
local base, id, child = ARGV[1], ARGV[2], ARGV[4]
local job = base .. id
if not is_job(job) then
  return -1
end
if rcall('ZCARD', job .. ':unsuccessful') > 0 then
  return -9
end
rcall('ZCARD', KEYS[1])
local pending
if child == '' then
  pending = rcall('SCARD', job .. ':dependencies')
else
  pending = rcall('SISMEMBER', job .. ':dependencies', child)
end
if pending == 0 then
  return 1
end
local code = leave_active(base, id, ARGV[3])
if code then
  return code
end
leave_group(base, id) -- it waits for its children now, and gets its turn again after them
rcall('ZADD', KEYS[1], ARGV[5], id)
rcall('XADD', KEYS[2], '*', 'event', 'waiting-children', 'jobId', id, 'prev', 'active')
local meta = rcall('HMGET', base .. 'meta', 'concurrency', 'paused')
add_group_marker(base, meta[2])
if meta[1] and not meta[2] and rcall('EXISTS', base .. 'wait', base .. 'prioritized') > 0 then
  add_marker(base, false) -- its slot of the global concurrency is free again
end
return 0

-- Put a running job back as the next of its kind to run; the try is not counted.
--
-- KEYS: events, limiter
-- ARGV: base, id, token
-- Returns: for how many ms a rate limit holds (0 if none does), or a code
-- Errors: -1 no such job, -2 no lock, -3 not active, -6 another's lock
-- Follows: BullMQ moveJobFromActiveToWait
--- @include "includes/get_target"
--- @include "includes/leave_active"
--- @include "includes/put_back"
--- @include "includes/back_to_group"
local rcall = redis.call
local base, id = ARGV[1], ARGV[2]
local code = leave_active(base, id, ARGV[3])
if code then
  return code
end
local target, blocked, _, meta = get_target(base)
if back_to_group(base, id, blocked) then
  rcall('XADD', KEYS[1], 'MAXLEN', '~', meta[6] or '10000', '*',
    'event', 'waiting', 'jobId', id, 'prev', 'active')
  return math.max(rcall('PTTL', KEYS[2]), 0)
end
local priority = tonumber(rcall('HGET', base .. id, 'priority')) or 0
put_back(base, id, priority, target, blocked, KEYS[1], meta[6] or '10000')
return math.max(rcall('PTTL', KEYS[2]), 0)

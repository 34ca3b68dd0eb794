-- Let a delayed job run now.
--
-- KEYS: delayed, events
-- ARGV: base, id
-- Returns: 0, or a code
-- Errors: -1 no such job, -3 not delayed
-- Follows: BullMQ promote
--- @include "includes/get_target"
--- @include "includes/add_marker"
--- @include "includes/add_prioritized"
--- @include "includes/group_of_job"
--- @include "includes/leave_later"
--- @include "includes/wait_in_group"
local rcall = redis.call
local base, id = ARGV[1], ARGV[2]
local job = base .. id
if rcall('EXISTS', job) == 0 then
  return -1
end
local target, blocked = get_target(base)
local group = group_of_job(base, id)
if group and leave_later(base, group, { id }) == 1 then
  wait_in_group(base, id, false, blocked)
  rcall('XADD', KEYS[2], '*', 'event', 'waiting', 'jobId', id, 'prev', 'delayed')
  rcall('HSET', job, 'delay', '0')
  return 0
end
if rcall('ZREM', KEYS[1], id) == 0 then
  return -3
end
local priority = tonumber(rcall('HGET', job, 'priority')) or 0
if priority > 0 then
  add_prioritized(base, id, priority)
else
  rcall('LPUSH', target, id)
end
add_marker(base, blocked)
rcall('XADD', KEYS[2], '*', 'event', 'waiting', 'jobId', id, 'prev', 'delayed')
rcall('HSET', job, 'delay', '0')
return 0

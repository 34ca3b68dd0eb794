-- Let a delayed job run at another time.
--
-- KEYS: delayed, events
-- ARGV: base, id, delay, due
-- Returns: 0, or a code
-- Errors: -1 no such job, -3 not delayed
-- Follows: BullMQ changeDelay
--- @include "includes/get_target"
--- @include "includes/add_delayed"
--- @include "includes/add_delay_marker"
--- @include "includes/add_group_marker"
--- @include "includes/delay_group"
--- @include "includes/group_of_job"
--- @include "includes/leave_later"
local rcall = redis.call
local base, id = ARGV[1], ARGV[2]
if rcall('EXISTS', base .. id) == 0 then
  return -1
end
local group = group_of_job(base, id)
local grouped = group and leave_later(base, group, { id }) == 1
if not grouped and rcall('ZREM', KEYS[1], id) == 0 then
  return -3
end
rcall('HSET', base .. id, 'delay', ARGV[3])
if grouped then
  delay_group(base, id, group, tonumber(ARGV[4]))
  add_group_marker(base, false)
else
  add_delayed(base, id, tonumber(ARGV[4]))
end
local _, _, _, meta = get_target(base)
rcall('XADD', KEYS[2], 'MAXLEN', '~', meta[6] or '10000', '*',
  'event', 'delayed', 'jobId', id, 'delay', ARGV[4])
add_delay_marker(base)
return 0

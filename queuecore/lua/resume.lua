-- Let the workers of a paused queue go on.
--
-- KEYS: wait, paused, prioritized, meta, events, marker
-- ARGV: base, batch
-- Returns: 0, or 1 if jobs are left to be moved: call again
-- Errors: none
-- Follows: BullMQ pause (resuming)
--
-- What stands in BullMQ 5's `paused` list goes back to `wait`; the queue stays paused until it has.
--- @include "includes/merge_list"
--- @include "includes/add_delay_marker"
--- @include "includes/add_group_marker"
local rcall = redis.call
if merge_list(KEYS[2], KEYS[1], tonumber(ARGV[2])) == 1 then
  return 1
end
rcall('HDEL', KEYS[4], 'paused')
if rcall('EXISTS', KEYS[1], KEYS[3]) > 0 then
  rcall('ZADD', KEYS[6], 0, '0')
else
  add_delay_marker(ARGV[1])
end
add_group_marker(ARGV[1], false)
rcall('XADD', KEYS[5], '*', 'event', 'resumed')
return 0

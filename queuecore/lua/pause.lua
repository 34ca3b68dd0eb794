-- Pause a queue: workers take no job until it is resumed.
--
-- KEYS: wait, paused, meta, events, marker
-- ARGV: base, batch
-- Returns: 0, or 1 if jobs are left to be moved: call again
-- Errors: none
-- Follows: BullMQ pause
--
-- Where get_target says that the queue is in BullMQ 5's hands, what waits is moved to `paused`.
--- @include "includes/get_target"
--- @include "includes/merge_list"
local rcall = redis.call
if not rcall('HGET', KEYS[3], 'paused') then
  rcall('HSET', KEYS[3], 'paused', '1')
end
rcall('DEL', KEYS[5])
if get_target(ARGV[1]) == KEYS[2] and merge_list(KEYS[1], KEYS[2], tonumber(ARGV[2])) == 1 then
  return 1
end
rcall('XADD', KEYS[4], '*', 'event', 'paused')
return 0

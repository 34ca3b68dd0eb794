-- Let grouped jobs that are due later run now, those due first at first.
--
-- KEYS: group-delayed, events
-- ARGV: base, batch
-- Returns: {moved, 1 if more are left, else 0}
-- Errors: none
-- Follows: BullMQ promoteJobs, for grouped jobs
--- @include "includes/get_target"
--- @include "includes/wait_in_group"
local rcall = redis.call
local base, batch = ARGV[1], tonumber(ARGV[2])
local ids = rcall('ZRANGE', KEYS[1], 0, batch - 1)
local _, blocked, _, meta = get_target(base)
local moved = 0
for i = 1, #ids do
  local id = ids[i]
  rcall('ZREM', KEYS[1], id)
  if rcall('ZSCORE', base .. 'waiting-children', id) and wait_in_group(base, id, false, blocked) then
    rcall('HSET', base .. id, 'delay', '0')
    rcall('XADD', KEYS[2], 'MAXLEN', '~', meta[6] or '10000', '*',
      'event', 'waiting', 'jobId', id, 'prev', 'delayed')
    moved = moved + 1
  end
end
return { moved, #ids == batch and 1 or 0 }

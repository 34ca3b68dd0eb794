-- Let grouped jobs that are due later run now, those of the group that is due first at first.
--
-- KEYS: group-delayed, events
-- ARGV: base, batch
-- Returns: {moved, 1 if more are left, else 0}
-- Errors: none
-- Follows: BullMQ promoteJobs, for grouped jobs
--- @include "includes/get_target"
--- @include "includes/leave_later"
--- @include "includes/wait_in_group"
local rcall = redis.call
local base, left = ARGV[1], tonumber(ARGV[2])
local _, blocked, _, meta = get_target(base)
local moved = 0
local groups = rcall('ZRANGE', KEYS[1], 0, left - 1)
for i = 1, #groups do
  if left <= 0 then
    break
  end
  local ids = rcall('ZRANGE', 'qc:' .. base .. 'group-later:' .. groups[i], 0, left - 1)
  left = left - math.max(#ids, 1)
  leave_later(base, groups[i], ids)
  for j = 1, #ids do
    local id = ids[j]
    if rcall('ZSCORE', base .. 'waiting-children', id) and wait_in_group(base, id, false, blocked) then
      rcall('HSET', base .. id, 'delay', '0')
      rcall('XADD', KEYS[2], 'MAXLEN', '~', meta[6] or '10000', '*',
        'event', 'waiting', 'jobId', id, 'prev', 'delayed')
      moved = moved + 1
    end
  end
end
return { moved, rcall('EXISTS', KEYS[1]) }

-- Remove a scheduler and its next run, if that is not ready to run yet.
--
-- KEYS: repeat, delayed, events
-- ARGV: base, scheduler, run
-- Returns: 1, or 0 if there was none
-- Errors: none
-- Follows: BullMQ removeJobScheduler, removeRepeatable
--
-- run: how the ids of its runs begin, where that is not "repeat:<scheduler>:" (BullMQ before 5.10).
--- @include "includes/delete_job"
local rcall = redis.call
local base, scheduler = ARGV[1], ARGV[2]
local due = rcall('ZSCORE', KEYS[1], scheduler)
if not due then
  return 0
end
rcall('ZREM', KEYS[1], scheduler)
rcall('DEL', KEYS[1] .. ':' .. scheduler)
for _, prefix in ipairs({ 'repeat:' .. scheduler .. ':', ARGV[3] }) do
  local id = prefix .. due
  if rcall('ZREM', KEYS[2], id) == 1 then
    delete_job(base .. id)
    rcall('XADD', KEYS[3], '*', 'event', 'removed', 'jobId', id, 'prev', 'delayed')
  end
end
return 1

-- Remove a scheduler and its next run, if that is not ready to run yet.
--
-- KEYS: repeat, delayed, events, paused, aside, pauses, authors
-- ARGV: base, scheduler
-- Returns: 1, or 0 if there was none
-- Errors: none
-- Follows: BullMQ removeJobScheduler, removeRepeatable
--
-- paused, aside: where it stands if it is paused (see pause_job_scheduler); authors: who made it by hand.
-- Repeatable jobs of BullMQ 5 with ":" in their keys have runs with a hash in their ids: those are
-- looked for among the jobs that are due at that moment.
--- @include "includes/delete_job"
--- @include "includes/text"
local rcall = redis.call
local base, scheduler = ARGV[1], ARGV[2]
local due = rcall('ZSCORE', KEYS[1], scheduler)
local paused = rcall('ZREM', KEYS[4], scheduler)
rcall('DEL', KEYS[5])
rcall('HDEL', KEYS[6], scheduler)
rcall('HDEL', KEYS[7], scheduler)
if not due then
  return paused
end
local runs = { 'repeat:' .. scheduler .. ':' .. due }
if string.find(scheduler, ':', 1, true) then
  local first = tonumber(due) * 4096
  local found = rcall('ZRANGEBYSCORE', KEYS[2], text(first), text(first + 4095))
  for i = 1, #found do
    if redis.pcall('HGET', base .. found[i], 'rjk') == scheduler then
      runs[#runs + 1] = found[i]
    end
  end
end
rcall('ZREM', KEYS[1], scheduler)
rcall('DEL', KEYS[1] .. ':' .. scheduler)
for i = 1, #runs do
  if rcall('ZREM', KEYS[2], runs[i]) == 1 then
    delete_job(base .. runs[i])
    rcall('XADD', KEYS[3], '*', 'event', 'removed', 'jobId', runs[i], 'prev', 'delayed')
  end
end
return 1

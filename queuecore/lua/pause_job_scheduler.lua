-- Put a scheduler aside: its record is kept where no peer looks, its next run goes.
--
-- KEYS: repeat, delayed, events, paused, aside
-- ARGV: base, scheduler, now
-- Returns: 1, 0 if there is no such scheduler, or a code
-- Errors: -12 it is a repeatable job of BullMQ 5, whose data stands only in its run
-- Follows: BullMQ removeJobScheduler
--
-- paused: the schedulers that are aside and since when; aside: the record, with what is needed to go on
-- (`due`, `count`: of the run that was taken away). A run that is ready stays, and is the last one.
--- @include "includes/delete_job"
local rcall = redis.call
local base, scheduler = ARGV[1], ARGV[2]
local record = KEYS[1] .. ':' .. scheduler
local due = rcall('ZSCORE', KEYS[1], scheduler)
if not due then
  return rcall('ZSCORE', KEYS[4], scheduler) and 1 or 0
end
if rcall('HEXISTS', record, 'ic') == 0 then
  return -12
end
local run = 'repeat:' .. scheduler .. ':' .. due
local fine, opts = pcall(cjson.decode, redis.pcall('HGET', base .. run, 'opts') or '')
local said = fine and type(opts) == 'table' and opts['repeat']
local count = type(said) == 'table' and tonumber(said.count) or 1
rcall('HSET', record, 'due', due, 'count', count)
rcall('RENAME', record, KEYS[5])
rcall('ZADD', KEYS[4], ARGV[3], scheduler)
rcall('ZREM', KEYS[1], scheduler)
if rcall('ZREM', KEYS[2], run) == 1 then
  delete_job(base .. run)
  rcall('XADD', KEYS[3], '*', 'event', 'removed', 'jobId', run, 'prev', 'delayed')
end
return 1

-- Add the next run of a scheduler whose run was started.
--
-- KEYS: repeat, id, events
-- ARGV: base, version, scheduler, run, now, next, every, offset, name, data, priority, lifo, dedup,
--   opts, quoted
-- Returns: the id of the next run, "" if there is none to add, or a code
-- Errors: -10 there is a run of that moment
-- Follows: BullMQ updateJobScheduler
--
-- Does something only if the run that was started is the one that the scheduler points at: a retry, a
-- repeated call, and another worker that came first change nothing.
-- next: when it runs, by its pattern; else how often (ms) stands in the record, or in every (and
-- offset), which are those of the run. name, data: of the run, for records that have none.
-- opts, quoted: see upsert_job_scheduler.
-- BullMQ ends a scheduler whose next run is there already; this takes the next free moment.
--- @include "includes/text"
--- @include "includes/get_target"
--- @include "includes/get_max_events"
--- @include "includes/get_next_every"
--- @include "includes/add_scheduler_run"
local rcall = redis.call
local base, scheduler, now = ARGV[1], ARGV[3], tonumber(ARGV[5])
local record = KEYS[1] .. ':' .. scheduler
local prefix = 'repeat:' .. scheduler .. ':'

local previous = rcall('ZSCORE', KEYS[1], scheduler)
if not previous or ARGV[4] ~= prefix .. previous then
  return ''
end
local row = rcall('HMGET', record, 'name', 'data', 'every', 'offset', 'ic')
local every = tonumber(row[3]) or tonumber(ARGV[7])
local due = tonumber(ARGV[6])
if every and every > 0 then
  due = get_next_every(tonumber(previous), every, now, tonumber(row[4] or ARGV[8]) or 0)
elseif not due then
  return ''
end

local target, blocked, _, meta = get_target(base)
local tries, busy = 0, nil
while rcall('EXISTS', base .. prefix .. text(due)) == 1 do
  busy = busy or prefix .. text(due)
  if not every or tries == 32 then
    return -10
  end
  tries = tries + 1
  due = due + every
end

rcall('ZADD', KEYS[1], text(due), scheduler)
local max_events = get_max_events(base, meta, ARGV[2])
if busy then
  rcall('XADD', KEYS[3], 'MAXLEN', '~', max_events, '*', 'event', 'duplicated', 'jobId', busy)
end
rcall('INCR', KEYS[2])
rcall('HINCRBY', record, 'ic', 1)
local name, data = row[1], row[2]
if not name then
  name = ARGV[9]
  rcall('HSET', record, 'name', name)
end
if not data and not row[5] and ARGV[10] ~= '{}' then
  -- A repeatable job of BullMQ 5: its data stands only in its runs.
  data = ARGV[10]
  rcall('HSET', record, 'data', data)
end
return (add_scheduler_run(base, scheduler, due, now, target, blocked, max_events, {
  name = name, data = data or '{}', opts = ARGV[14], quoted = ARGV[15],
  priority = tonumber(ARGV[11]), lifo = ARGV[12] == '1', dedup = ARGV[13],
}))

-- Add a scheduler with its next run, or change it: the run that waits is replaced.
--
-- KEYS: repeat, id, delayed, prioritized, events, paused, aside, pauses
-- ARGV: base, version, scheduler, now, next, every, offset, start, priority, lifo, name, data, opts,
--   quoted, record... (field and value in turn)
-- Returns: {id of the next run, its delay}, or a code
-- Errors: -10 there is a run of that moment, -11 of the 32 next ones, too
-- Follows: BullMQ addJobScheduler
--
-- next: when it runs, by its pattern; else every: how often (ms), with offset and start or "".
-- opts: the run's options up to the last brace; quoted: its id as JSON up to the time in it.
-- Where BullMQ would write over a run of that moment that is finished, this answers -10.
-- Carrying it out twice ends in the same scheduler and run.
-- One that was paused (see pause_job_scheduler) goes on counting from there; pauses: the last pause of each
-- scheduler, so that what was due meanwhile is not taken for missed.
--- @include "includes/text"
--- @include "includes/get_target"
--- @include "includes/get_max_events"
--- @include "includes/get_next_every"
--- @include "includes/add_scheduler_run"
--- @include "includes/drop_job"
local rcall = redis.call
local base, scheduler, now = ARGV[1], ARGV[3], tonumber(ARGV[4])
local every, given = tonumber(ARGV[6]), tonumber(ARGV[7])
local record = KEYS[1] .. ':' .. scheduler
local prefix = 'repeat:' .. scheduler .. ':'

-- Reads first: nothing is written unless all is.
local target, blocked, _, meta = get_target(base)
local previous = rcall('ZSCORE', KEYS[1], scheduler)
local kept = rcall('HMGET', record, 'every', 'offset', 'ic')
local aside = not previous and rcall('ZSCORE', KEYS[6], scheduler)
if aside then
  kept = rcall('HMGET', KEYS[7], 'every', 'offset', 'ic')
end
local place
if previous and rcall('EXISTS', base .. prefix .. previous) == 1 then
  if rcall('ZSCORE', KEYS[3], prefix .. previous) then
    place = KEYS[3]
  elseif rcall('ZSCORE', KEYS[4], prefix .. previous) then
    place = KEYS[4]
  elseif rcall('LPOS', target, prefix .. previous) then
    place = target
  end
end

local due, offset = tonumber(ARGV[5]), given or 0
if every then
  local same = tonumber(kept[1]) == every
  due, offset = get_next_every(same and tonumber(previous), every, now, offset, tonumber(ARGV[8]))
  if same and place then
    due = tonumber(previous)
  end
end

local function taken()
  local id = prefix .. text(due)
  return not (place and id == prefix .. previous) and rcall('EXISTS', base .. id) == 1
end
if taken() then
  if not every then
    return -10
  end
  local tries = 0
  repeat
    if tries == 32 then
      return -11
    end
    tries = tries + 1
    due = due + every
  until not taken()
end

rcall('INCR', KEYS[2])
local max_events = get_max_events(base, meta, ARGV[2])
if place then
  if place == target then
    rcall('LREM', place, 1, prefix .. previous)
  else
    rcall('ZREM', place, prefix .. previous)
  end
  drop_job(base, prefix .. previous, true, true)
  offset = given or kept[2]
end

rcall('DEL', record)
if aside then
  rcall('HSET', KEYS[8], scheduler, aside .. ':' .. text(now))
  rcall('EXPIRE', KEYS[8], 2592000)
end
if rcall('ZREM', KEYS[6], scheduler) == 1 then
  rcall('DEL', KEYS[7])
end
rcall('ZADD', KEYS[1], text(due), scheduler)
rcall('HSET', record, 'ic', kept[3] or '1', unpack(ARGV, 15))
if offset then
  rcall('HSET', record, 'offset', text(tonumber(offset)))
end
local id, delay = add_scheduler_run(base, scheduler, due, now, target, blocked, max_events, {
  name = ARGV[11], data = ARGV[12], opts = ARGV[13], quoted = ARGV[14],
  priority = tonumber(ARGV[9]), lifo = ARGV[10] == '1', dedup = '',
})
return { id, text(delay) }

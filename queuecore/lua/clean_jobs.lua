-- Delete jobs of one state that are old enough.
--
-- KEYS: source
-- ARGV: base, state (`group` and `group-later` are those of one group), kind ("list" or "zset"), batch, kept, until, limit (0 is none)
-- Returns: {seen, kept, id, ...}: how many this batch looked at, how many of them stand, and
--   which are deleted
-- Errors: none
-- Follows: BullMQ cleanJobsInSet
--
-- `until` is a time in ms: jobs that are younger stay. What counts is when a finished job finished,
-- an active one without a lock (nobody works at it) started, any other was made. `kept` is how many
-- earlier batches let stand.
--- @include "includes/drop_job"
--- @include "includes/forget_group"
--- @include "includes/forget_grouped"
--- @include "includes/is_pending_run"
--- @include "includes/leave_later"
--- @include "includes/read_batch"
local rcall = redis.call
local base, state, kind, latest = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[6])
local batch, kept, limit = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[7])
local finished = state == 'completed' or state == 'failed'
local grouped = (state == 'group' or state == 'group-later')
  and string.sub(KEYS[1], #base + #state + 5)
local ids
if finished then
  ids = rcall('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[6], 'LIMIT', kept, batch)
else
  ids = read_batch(KEYS[1], kind, batch, kept)
end
local answer = { #ids, 0 }
for i = 1, #ids do
  local id = ids[i]
  local job = base .. id
  local row = rcall('HMGET', job, 'rjk', 'finishedOn', 'processedOn', 'timestamp')
  local made = tonumber(row[4]) or 0
  if state == 'delayed' or state == 'group-later' then
    made = tonumber(row[3]) or made
  elseif kind == 'list' then
    made = tonumber(row[2]) or tonumber(row[3]) or made
  end
  if (not finished and made > latest) or is_pending_run(base, id, row[1])
      or (state == 'active' and rcall('EXISTS', job .. ':lock') == 1) then
    answer[2] = answer[2] + 1
  else
    if kind == 'list' then
      rcall('LREM', KEYS[1], -1, id)
      if state == 'active' then
        rcall('SREM', base .. 'stalled', id)
        forget_grouped(base, id)
      end
    else
      rcall('ZREM', KEYS[1], id)
    end
    -- A grouped one that stands in `waiting-children` no more is another's, or gone.
    if not grouped or rcall('ZREM', base .. 'waiting-children', id) == 1 then
      drop_job(base, id, true, true)
      answer[#answer + 1] = id
      if #answer - 2 == limit then
        break
      end
    end
  end
end
if state == 'group' then
  forget_group(base, grouped)
elseif grouped then
  leave_later(base, grouped, {})
end
return answer

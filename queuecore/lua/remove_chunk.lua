-- Delete many jobs: one step of an operation.
--
-- KEYS: receipt, source
-- ARGV: owner, chunk, step, place (where to go on after this step), base, state (the suffix of the
--   source), until (ms; what ended, or else was added, later stands), how (`remove` as single jobs are removed, `alone` the same without their
--   children, `drop` as a whole queue is emptied, `drop grouped` the same, sparing parents), left (where in a list they were met), ids...
-- Returns: {1, step, place, done, skipped, failed, {id, reason, ...}} of the chunk so far; {0} if somebody
--   else goes on with the operation
-- Errors: none
-- Follows: BullMQ removeJob for each job; with `drop` cleanJobsInSet
--- @include "includes/open_chunk"
--- @include "includes/close_chunk"
--- @include "includes/drop_job"
--- @include "includes/find_in_list"
--- @include "includes/forget_grouped"
--- @include "includes/gather_family"
--- @include "includes/is_job"
--- @include "includes/is_pending_run"
--- @include "includes/remove_family"
--- @include "includes/stands_in_group"
local rcall = redis.call
local go, row = open_chunk(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
if not go then
  return row
end
local base, state, latest, how = ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[8]
local spares = how == 'drop grouped'
how = spares and 'drop' or how
local list = state == 'wait' or state == 'paused' or state == 'active'
local finished = state == 'completed' or state == 'failed'
local ids = { unpack(ARGV, 10) }
local places = list and find_in_list(KEYS[2], tonumber(ARGV[9]), 500, ids)
if list and #ids == 1 and not places[ids[1]] then
  -- It was asked for by its id, and nobody knows where it stands.
  places[ids[1]] = rcall('LPOS', KEYS[2], ids[1])
end
local scores = not list and rcall('ZMSCORE', KEYS[2], unpack(ids))

local done, skipped, failures, taken = 0, 0, {}, 0
-- No id of a job: what takes the place of those that go until all go at once.
local gap = '\0gone'

-- Whether the job still stood there: it may have gone with another one's family.
local function take_out_here(id)
  if not list then
    if state == 'waiting-children' then
      forget_grouped(base, id)
    end
    return rcall('ZREM', KEYS[2], id) == 1
  end
  if state == 'active' then
    rcall('SREM', base .. 'stalled', id)
    forget_grouped(base, id)
  end
  if rcall('LINDEX', KEYS[2], places[id]) ~= id then
    return rcall('LREM', KEYS[2], 0, id) > 0
  end
  rcall('LSET', KEYS[2], places[id], gap)
  taken = taken + 1
  return true
end

for i = 1, #ids do
  local id = ids[i]
  local job = base .. id
  local place = list and places[id] or not list and scores[i]
  local stored = place and redis.pcall('HMGET', job, 'timestamp', 'rjk')
  local added = stored and not stored.err and tonumber(stored[1])
  local pending = added and is_pending_run(base, id, stored[2])
  if not place or (finished and tonumber(place) or added or 0) > latest then
    skipped = skipped + 1
  elseif how == 'drop' then
    if pending or (state == 'active' and rcall('EXISTS', job .. ':lock') == 1)
        or (spares and not stands_in_group(base, id)) then
      skipped = skipped + 1
    else
      done = done + (take_out_here(id) and 1 or 0)
      if is_job(job) or rcall('EXISTS', job) == 0 then
        drop_job(base, id, true, true)
      end
    end
  elseif pending then
    failures[#failures + 1], failures[#failures + 2] = id, 'scheduler'
  else
    local below = gather_family(job, how == 'remove')
    if not below then
      failures[#failures + 1], failures[#failures + 2] = id, 'running'
    elseif take_out_here(id) then
      remove_family(base, id, function(one)
        return below[one] or {}
      end, state)
      done = done + 1
    else
      skipped = skipped + 1
    end
  end
end
if taken > 0 then
  -- From the nearer end of the list, until all gaps are closed.
  local nearer = tonumber(ARGV[9]) * 2 < rcall('LLEN', KEYS[2]) and taken or -taken
  rcall('LREM', KEYS[2], nearer, gap)
end
return close_chunk(KEYS[1], row, ARGV[3], ARGV[4], done, skipped, failures)

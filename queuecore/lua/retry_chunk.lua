-- Let many finished jobs run again: one step of an operation.
--
-- KEYS: receipt, set (completed or failed), events
-- ARGV: owner, chunk, step, place (where to go on after this step), base, state, until (a score; what
--   finished later stands), reset ("1": all attempts are there again), ids...
-- Returns: {1, step, place, done, skipped, failed, {id, reason, ...}} of the chunk so far; {0} if somebody
--   else goes on with the operation
-- Errors: none
-- Follows: BullMQ reprocessJob, for each job
--- @include "includes/open_chunk"
--- @include "includes/close_chunk"
--- @include "includes/get_target"
--- @include "includes/add_marker"
--- @include "includes/add_prioritized"
--- @include "includes/relink_child"
--- @include "includes/wait_in_group"
local rcall = redis.call
local go, row = open_chunk(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
if not go then
  return row
end
local base, state, latest = ARGV[5], ARGV[6], tonumber(ARGV[7])
local scores = rcall('ZMSCORE', KEYS[2], unpack(ARGV, 9))
local going, jobs, failures, skipped = {}, {}, {}, 0
for i = 1, #scores do
  local id = ARGV[i + 8]
  if not scores[i] or tonumber(scores[i]) > latest then
    skipped = skipped + 1
  else
    local job = rcall('HMGET', base .. id, 'timestamp', 'priority', 'parentKey')
    if job[1] then
      going[#going + 1], jobs[#jobs + 1] = id, job
    else
      failures[#failures + 1], failures[#failures + 2] = id, 'gone'
    end
  end
end
if #going > 0 then
  local target, blocked, _, meta = get_target(base)
  local most = meta[6] or '10000'
  local outcome = state == 'failed' and 'failedReason' or 'returnvalue'
  local waiting = {}
  rcall('ZREM', KEYS[2], unpack(going))
  for i = 1, #going do
    local id, job = going[i], base .. going[i]
    if ARGV[8] == '1' then
      rcall('HDEL', job, 'finishedOn', 'processedOn', outcome, 'atm', 'ats')
    else
      rcall('HDEL', job, 'finishedOn', 'processedOn', outcome)
    end
    local priority = tonumber(jobs[i][2]) or 0
    if not wait_in_group(base, id, false, blocked) then
      if priority > 0 then
        add_prioritized(base, id, priority)
      else
        waiting[#waiting + 1] = id
      end
    end
    if jobs[i][3] then
      relink_child(job, jobs[i][3], state)
    end
    rcall('XADD', KEYS[3], 'MAXLEN', '~', most, '*', 'event', 'waiting', 'jobId', id, 'prev', state)
  end
  if #waiting > 0 then
    rcall('LPUSH', target, unpack(waiting))
  end
  add_marker(base, blocked)
end
return close_chunk(KEYS[1], row, ARGV[3], ARGV[4], #going, skipped, failures)

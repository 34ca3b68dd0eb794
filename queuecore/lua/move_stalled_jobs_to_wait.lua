-- Find jobs whose worker died and let them run again; mark the others for the next check.
--
-- KEYS: stalled, active, stalled-check, events, meta
-- ARGV: base, now, interval, max_stalled, max_unconfirmed
-- Returns: {recovered ids, ids that fail now}
-- Errors: none
-- Follows: BullMQ moveStalledJobsToWait
--
-- A job is found when it was active at the last check and has no lock now. If its run was
-- confirmed (`sa` = `ats`, set by a renewal) the stall counts in `stc`. Otherwise nobody knows
-- that the job ran at all: it costs nothing but a step of `sa` (-1, -2, ...), until a job that
-- kills its process again and again is told by it. A job over either limit gets `defa` and is
-- failed by whoever claims it next.
--- @include "includes/get_target"
--- @include "includes/add_marker"
local rcall = redis.call
local base, events = ARGV[1], KEYS[4]
local recovered, failing = {}, {}
if rcall('SET', KEYS[3], ARGV[2], 'PX', ARGV[3], 'NX') == false then
  return { recovered, failing }
end
local target, _, paused, meta = get_target(base)
rcall('XTRIM', events, 'MAXLEN', '~', meta[6] or '10000')
local suspects = rcall('SMEMBERS', KEYS[1])
rcall('DEL', KEYS[1])
for i = 1, #suspects do
  local id = suspects[i]
  local job = base .. id
  if rcall('EXISTS', job .. ':lock') == 0 and rcall('LREM', KEYS[2], 1, id) > 0 then
    local row = rcall('HMGET', job, 'ats', 'sa', 'rjk')
    local reason, poison
    if rcall('EXISTS', job) == 0 then
      reason = nil -- an id whose job was deleted: the claim drops it
    elseif row[2] and row[2] == row[1] then
      if rcall('HINCRBY', job, 'stc', 1) > tonumber(ARGV[4]) then
        reason = 'job stalled more than allowable limit'
      end
    else
      local mark = tonumber(row[2]) or 0
      local unconfirmed = mark < 0 and mark - 1 or -1
      rcall('HSET', job, 'sa', unconfirmed)
      if -unconfirmed > tonumber(ARGV[5]) then
        poison = true
        reason = 'job killed its worker or lost it ' .. -unconfirmed .. ' times in a row before a lock renewal'
      end
    end
    -- As in BullMQ, stalls do not end the run of a scheduler; one that kills its workers may not go on.
    if reason and (poison or not row[3] or rcall('EXISTS', base .. 'repeat:' .. row[3]) == 0) then
      rcall('HSET', job, 'defa', reason)
      failing[#failing + 1] = id
    end
    rcall('RPUSH', target, id)
    add_marker(base, paused) -- its slot of the global concurrency is free again
    rcall('XADD', events, '*', 'event', 'waiting', 'jobId', id, 'prev', 'active')
    rcall('XADD', events, '*', 'event', 'stalled', 'jobId', id)
    recovered[#recovered + 1] = id
  end
end
local running = rcall('LRANGE', KEYS[2], 0, -1)
for first = 1, #running, 4000 do
  rcall('SADD', KEYS[1], unpack(running, first, math.min(first + 3999, #running)))
end
return { recovered, failing }

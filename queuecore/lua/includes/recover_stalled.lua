--- @include "includes/add_marker"
--- @include "includes/back_to_group"
-- Let a job run again that stood in `active` and whose worker is dead; whether it fails then.
--
-- If its run was confirmed (`sa` = `ats`, set by a renewal) the stall counts in `stc`. Otherwise
-- nobody knows that the job ran at all: it costs nothing but a step of `sa` (-1, -2, ...), until a
-- job that kills its process again and again is told by it. A job over either limit gets `defa`
-- and is failed by whoever claims it next.
local function recover_stalled(base, id, target, paused, events, max_stalled, max_unconfirmed)
  local rcall, job = redis.call, base .. id
  local row = rcall('HMGET', job, 'ats', 'sa', 'rjk')
  local reason, poison, failing
  if rcall('EXISTS', job) == 0 then
    reason = nil -- an id whose job was deleted: the claim drops it
  elseif row[2] and row[2] == row[1] then
    if rcall('HINCRBY', job, 'stc', 1) > max_stalled then
      reason = 'job stalled more than allowable limit'
    end
  else
    local mark = tonumber(row[2]) or 0
    local unconfirmed = mark < 0 and mark - 1 or -1
    rcall('HSET', job, 'sa', unconfirmed)
    if -unconfirmed > max_unconfirmed then
      poison = true
      reason = 'job killed its worker or lost it ' .. -unconfirmed .. ' times in a row before a lock renewal'
    end
  end
  -- As in BullMQ, stalls do not end the run of a scheduler; one that kills its workers may not go on.
  if reason and (poison or not row[3] or rcall('EXISTS', base .. 'repeat:' .. row[3]) == 0) then
    rcall('HSET', job, 'defa', reason)
    failing = true
  end
  if not back_to_group(base, id, paused) then
    rcall('RPUSH', target, id)
  end
  add_marker(base, paused) -- its slot of the global concurrency is free again
  rcall('XADD', events, '*', 'event', 'waiting', 'jobId', id, 'prev', 'active')
  rcall('XADD', events, '*', 'event', 'stalled', 'jobId', id)
  return failing
end

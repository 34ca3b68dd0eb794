-- Let many failed, completed or delayed jobs run (again), the oldest first.
--
-- KEYS: set (failed, completed or delayed), events
-- ARGV: base, state, batch, until (a score)
-- Returns: {moved, 1 if more are left, else 0}
-- Errors: none
-- Follows: BullMQ moveJobsToWait
--- @include "includes/get_target"
--- @include "includes/add_marker"
--- @include "includes/relink_child"
--- @include "includes/wait_in_group"
local rcall = redis.call
local base, state, batch = ARGV[1], ARGV[2], tonumber(ARGV[3])
local ids = rcall('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[4], 'LIMIT', 0, batch)
if #ids == 0 then
  return { 0, 0 }
end
local target, blocked, _, meta = get_target(base)
local waiting = {}
rcall('ZREM', KEYS[1], unpack(ids))
for i = 1, #ids do
  local id = ids[i]
  local job = base .. id
  if state ~= 'delayed' then
    rcall('HDEL', job, 'finishedOn', 'processedOn',
      state == 'failed' and 'failedReason' or 'returnvalue')
    local parent_key = rcall('HGET', job, 'parentKey')
    if parent_key then
      relink_child(job, parent_key, state)
    end
  end
  if not wait_in_group(base, id, false, blocked) then
    waiting[#waiting + 1] = id
  end
  rcall('XADD', KEYS[2], 'MAXLEN', '~', meta[6] or '10000', '*',
    'event', 'waiting', 'jobId', id, 'prev', state)
end
if #waiting > 0 then
  rcall('LPUSH', target, unpack(waiting))
  add_marker(base, blocked)
end
return { #ids, #ids == batch and 1 or 0 }

-- Let a completed or failed job run again.
--
-- KEYS: set (completed or failed), events
-- ARGV: base, id, state, lifo ("1" or "0"), reset_made ("1" or "0"), reset_started ("1" or "0")
-- Returns: 1, or a code
-- Errors: -1 no such job, -3 not in that state
-- Follows: BullMQ reprocessJob
--- @include "includes/get_target"
--- @include "includes/add_marker"
--- @include "includes/add_prioritized"
--- @include "includes/relink_child"
--- @include "includes/wait_in_group"
local rcall = redis.call
local base, id, state = ARGV[1], ARGV[2], ARGV[3]
local job = base .. id
if rcall('EXISTS', job) == 0 then
  return -1
end
if rcall('ZREM', KEYS[1], id) == 0 then
  return -3
end
rcall('HDEL', job, 'finishedOn', 'processedOn', state == 'failed' and 'failedReason' or 'returnvalue')
if ARGV[5] == '1' then
  rcall('HDEL', job, 'atm')
end
if ARGV[6] == '1' then
  rcall('HDEL', job, 'ats')
end
local row = rcall('HMGET', job, 'priority', 'parentKey')
local target, blocked, _, meta = get_target(base)
local priority = tonumber(row[1]) or 0
if not wait_in_group(base, id, ARGV[4] == '1', blocked) then
  if priority > 0 then
    add_prioritized(base, id, priority)
  else
    rcall(ARGV[4] == '1' and 'RPUSH' or 'LPUSH', target, id)
  end
  add_marker(base, blocked)
end
if row[2] then
  relink_child(job, row[2], state)
end
rcall('XADD', KEYS[2], 'MAXLEN', '~', meta[6] or '10000', '*',
  'event', 'waiting', 'jobId', id, 'prev', state)
return 1

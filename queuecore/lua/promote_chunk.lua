-- Let many delayed jobs run now: one step of an operation.
--
-- KEYS: receipt, source, events
-- ARGV: owner, chunk, step, place (where to go on after this step), base, state (`delayed`, or
--   `waiting-children` for grouped ones), until (ms; what was added later stands), ids...
-- Returns: {1, step, place, done, skipped, failed, {id, reason, ...}} of the chunk so far; {0} if somebody
--   else goes on with the operation
-- Errors: none
-- Follows: BullMQ promote, for each job
--- @include "includes/open_chunk"
--- @include "includes/close_chunk"
--- @include "includes/get_target"
--- @include "includes/add_marker"
--- @include "includes/add_prioritized"
--- @include "includes/group_of_job"
--- @include "includes/leave_later"
--- @include "includes/wait_in_group"
local rcall = redis.call
local go, row = open_chunk(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
if not go then
  return row
end
local base, latest = ARGV[5], tonumber(ARGV[7])
local scores = rcall('ZMSCORE', KEYS[2], unpack(ARGV, 8))
local going, priorities, failures, skipped = {}, {}, {}, 0
for i = 1, #scores do
  local id = ARGV[i + 7]
  local job = scores[i] and rcall('HMGET', base .. id, 'timestamp', 'priority')
  local group = job and ARGV[6] ~= 'delayed' and group_of_job(base, id)
  if not job or job[1] and (tonumber(job[1]) or 0) > latest then
    skipped = skipped + 1
  elseif ARGV[6] ~= 'delayed' and not (group and leave_later(base, group, { id }) == 1) then
    skipped = skipped + 1
  elseif job[1] then
    going[#going + 1], priorities[#priorities + 1] = id, tonumber(job[2]) or 0
  else
    failures[#failures + 1], failures[#failures + 2] = id, 'gone'
  end
end
if #going > 0 then
  local target, blocked = get_target(base)
  local waiting = {}
  if ARGV[6] == 'delayed' then
    rcall('ZREM', KEYS[2], unpack(going))
  end
  for i = 1, #going do
    local id = going[i]
    if ARGV[6] ~= 'delayed' then
      wait_in_group(base, id, false, blocked)
    elseif priorities[i] > 0 then
      add_prioritized(base, id, priorities[i])
    else
      waiting[#waiting + 1] = id
    end
    rcall('HSET', base .. id, 'delay', '0')
    rcall('XADD', KEYS[3], '*', 'event', 'waiting', 'jobId', id, 'prev', 'delayed')
  end
  if #waiting > 0 then
    rcall('LPUSH', target, unpack(waiting))
  end
  add_marker(base, blocked)
end
return close_chunk(KEYS[1], row, ARGV[3], ARGV[4], #going, skipped, failures)

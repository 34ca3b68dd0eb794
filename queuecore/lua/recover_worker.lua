-- Let all jobs run again that a dead worker holds, and close its lanes.
--
-- KEYS: stalled, active, events, meta, receipts...
-- ARGV: base, worker, max_stalled, max_unconfirmed
-- Returns: {recovered ids, ids that fail now}
-- Errors: none
-- Follows: BullMQ moveStalledJobsToWait, for the jobs of one worker, at once
--
-- For who knows that its process has ended. A call of it that is still under way finds its lane
-- closed and claims nothing; jobs are told by the lock, which begins with the worker's id.
--- @include "includes/get_target"
--- @include "includes/recover_stalled"
--- @include "includes/wake_siblings"
local rcall = redis.call
local base, own, events = ARGV[1], ARGV[2] .. ':', KEYS[3]
local recovered, failing = {}, {}
for i = 5, #KEYS do
  rcall('SET', KEYS[i], 'closed', 'PX', 3600000)
end
local target, _, paused = get_target(base)
local max_stalled, max_unconfirmed = tonumber(ARGV[3]), tonumber(ARGV[4])
-- The head of `active` was claimed last: put back first, the oldest claim ends up next to run.
local ids = rcall('LRANGE', KEYS[2], 0, -1)
for i = 1, #ids do
  local id = ids[i]
  local lock = base .. id .. ':lock'
  local held = rcall('GET', lock)
  if held and string.sub(held, 1, #own) == own then
    rcall('DEL', lock)
    rcall('SREM', KEYS[1], id)
    rcall('LREM', KEYS[2], -1, id)
    if recover_stalled(base, id, target, paused, events, max_stalled, max_unconfirmed) then
      failing[#failing + 1] = id
    end
    recovered[#recovered + 1] = id
  end
end
if #recovered == 0 and rcall('EXISTS', base .. 'wait', base .. 'prioritized') > 0 then
  add_marker(base, paused) -- it may have taken the marker and claimed nothing
end
add_group_marker(base, paused)
wake_siblings(base)
return { recovered, failing }

-- Give all jobs that a worker still holds back to waiting, and close its lanes.
--
-- KEYS: active, stalled, events, receipts...
-- ARGV: base, worker
-- Returns: the ids given back
-- Errors: none
-- Follows: none (BullMQ leaves them to the stalled check)
--
-- A closed lane answers "late" to every call that is still under way, so that nothing can be
-- claimed for a worker that is gone. The try is not counted. The marker is set where jobs are
-- ready or due later: this worker may have taken it and claimed nothing.
--- @include "includes/get_target"
--- @include "includes/add_marker"
--- @include "includes/add_delay_marker"
--- @include "includes/put_back"
--- @include "includes/back_to_group"
--- @include "includes/wake_siblings"
local rcall = redis.call
local base, own = ARGV[1], ARGV[2] .. ':'
for i = 4, #KEYS do
  rcall('SET', KEYS[i], 'closed', 'PX', 3600000)
end
local target, _, paused, meta = get_target(base)
local back = {}
-- The head of `active` was claimed last: put back first, the oldest claim ends up next to run.
local ids = rcall('LRANGE', KEYS[1], 0, -1)
for i = 1, #ids do
  local id = ids[i]
  local lock = base .. id .. ':lock'
  local held = rcall('GET', lock)
  if held and string.sub(held, 1, #own) == own then
    rcall('DEL', lock)
    rcall('SREM', KEYS[2], id)
    rcall('LREM', KEYS[1], -1, id)
    if back_to_group(base, id, paused) then
      rcall('XADD', KEYS[3], 'MAXLEN', '~', meta[6] or '10000', '*',
        'event', 'waiting', 'jobId', id, 'prev', 'active')
    else
      local priority = tonumber(rcall('HGET', base .. id, 'priority')) or 0
      put_back(base, id, priority, target, paused, KEYS[3], meta[6] or '10000')
    end
    back[#back + 1] = id
  end
end
if #back == 0 and rcall('EXISTS', base .. 'wait', base .. 'prioritized') > 0 then
  add_marker(base, paused)
end
add_delay_marker(base)
add_group_marker(base, paused)
wake_siblings(base)
return back

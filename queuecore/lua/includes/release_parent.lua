--- @include "includes/text"
--- @include "includes/get_target"
--- @include "includes/add_marker"
--- @include "includes/add_delay_marker"
--- @include "includes/add_prioritized"
-- Let a parent run that waited for its children: now its own delay and priority count.
local function release_parent(base, id, now)
  local events = base .. 'events'
  local row = redis.call('HMGET', base .. id, 'delay', 'priority')
  local delay, priority = tonumber(row[1]) or 0, tonumber(row[2]) or 0
  if delay > 0 then
    local due = tonumber(now) + delay
    redis.call('ZADD', base .. 'delayed', text(due * 4096), id)
    redis.call('XADD', events, '*', 'event', 'delayed', 'jobId', id, 'delay', text(due))
    add_delay_marker(base)
    return
  end
  local target, blocked = get_target(base)
  if priority > 0 then
    add_prioritized(base, id, priority)
  else
    redis.call('RPUSH', target, id)
  end
  add_marker(base, blocked)
  redis.call('XADD', events, '*', 'event', 'waiting', 'jobId', id, 'prev', 'waiting-children')
end

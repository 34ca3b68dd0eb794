--- @include "includes/text"
--- @include "includes/add_marker"
-- Put a job that leaves `active` unfinished back as the next of its kind to run.
local function put_back(base, id, priority, target, blocked, events, max_events)
  if priority > 0 then
    redis.call('ZADD', base .. 'prioritized', text(priority * 4294967296), id)
  else
    redis.call('RPUSH', target, id)
  end
  add_marker(base, blocked)
  if max_events then
    redis.call('XADD', events, 'MAXLEN', '~', max_events, '*',
      'event', 'waiting', 'jobId', id, 'prev', 'active')
  else
    redis.call('XADD', events, '*', 'event', 'waiting', 'jobId', id, 'prev', 'active')
  end
end

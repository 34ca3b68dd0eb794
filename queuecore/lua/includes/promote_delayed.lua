--- @include "includes/text"
--- @include "includes/add_marker"
--- @include "includes/add_prioritized"
-- Move the delayed jobs that are due at `now` (ms) to where waiting jobs go. At most 500 a call,
-- which keeps a call short on the server; the workers call again at once. An id without a job is
-- dropped.
local function promote_delayed(base, now, target, blocked)
  local delayed = base .. 'delayed'
  local due = redis.call('ZRANGEBYSCORE', delayed, 0, text((tonumber(now) + 1) * 4096 - 1),
    'LIMIT', 0, 500)
  if #due == 0 then
    return 0
  end
  -- Of the right type? Else they would be lost between here and there.
  redis.call('LLEN', target)
  redis.call('ZCARD', base .. 'prioritized')
  redis.call('ZREM', delayed, unpack(due))
  local plain, events = {}, base .. 'events'
  for i = 1, #due do
    local id = due[i]
    local job = base .. id
    local row = redis.pcall('HMGET', job, 'timestamp', 'priority')
    local priority = tonumber(row[2]) or 0
    if not row[1] then
      redis.call('XADD', events, '*', 'event', 'removed', 'jobId', id, 'prev', 'delayed')
    else
      if priority > 0 then
        add_prioritized(base, id, priority)
      else
        plain[#plain + 1] = id
      end
      redis.call('XADD', events, '*', 'event', 'waiting', 'jobId', id, 'prev', 'delayed')
      redis.call('HSET', job, 'delay', '0')
    end
  end
  if #plain > 0 then
    redis.call('LPUSH', target, unpack(plain))
  end
  add_marker(base, blocked)
  return #due
end

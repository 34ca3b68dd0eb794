--- @include "includes/text"
--- @include "includes/add_delay_marker"
--- @include "includes/add_delayed"
--- @include "includes/add_marker"
--- @include "includes/add_prioritized"
-- A job with a deduplication id is finished: free the id if it has no time of its own, and add the
-- job that was asked for meanwhile, if one was (keepLastIfActive).
local function finish_deduplication(base, id, dedup_id, now, target, blocked, max_events)
  local owner, following = base .. 'de:' .. dedup_id, base .. 'dn:' .. dedup_id
  local events = base .. 'events'
  if redis.pcall('GET', owner) == id and redis.call('PTTL', owner) == -1 then
    redis.call('DEL', owner)
  end
  if redis.call('EXISTS', following) == 0 then
    return
  end
  local row = redis.pcall('HMGET', following, 'name', 'data', 'opts', 'jid', 'pk', 'pd', 'pdk', 'rjk')
  redis.call('DEL', following)
  if row.err then
    return
  end
  local new_id = text(redis.call('INCR', base .. 'id'))
  if row[4] and row[4] ~= '' then
    new_id = row[4]
  end
  local job = base .. new_id
  if redis.call('EXISTS', job) == 1 then
    redis.call('XADD', events, 'MAXLEN', '~', max_events, '*', 'event', 'duplicated', 'jobId', new_id)
    return
  end
  local ok, opts = pcall(cjson.decode, row[3] or '')
  if not ok or type(opts) ~= 'table' then
    opts = {}
  end
  local delay, priority = tonumber(opts.delay) or 0, tonumber(opts.priority) or 0
  local rule = type(opts.de) == 'table' and opts.de or {}
  local ttl = tonumber(rule.ttl) or 0
  if ttl > 0 and not rule.keepLastIfActive then
    redis.call('SET', owner, new_id, 'PX', text(ttl))
  else
    redis.call('SET', owner, new_id)
  end
  local fields = { 'name', row[1] or '', 'data', row[2] or '{}', 'opts', row[3] or '{}',
    'timestamp', now, 'delay', text(delay), 'priority', text(priority),
    'deid', dedup_id }
  for name, value in pairs({ parentKey = row[5], parent = row[6], rjk = row[8] }) do
    if value then
      fields[#fields + 1] = name
      fields[#fields + 1] = value
    end
  end
  redis.call('HSET', job, unpack(fields))
  redis.call('XADD', events, '*', 'event', 'added', 'jobId', new_id, 'name', row[1] or '')
  if row[7] then
    redis.call('SADD', row[7], job)
  end
  if delay > 0 then
    local due = tonumber(now) + delay
    add_delayed(base, new_id, due)
    redis.call('XADD', events, 'MAXLEN', '~', max_events, '*',
      'event', 'delayed', 'jobId', new_id, 'delay', text(due))
    add_delay_marker(base)
    return
  end
  if priority > 0 then
    add_prioritized(base, new_id, priority)
  else
    redis.call(opts.lifo == true and 'RPUSH' or 'LPUSH', target, new_id)
  end
  add_marker(base, blocked)
  redis.call('XADD', events, 'MAXLEN', '~', max_events, '*', 'event', 'waiting', 'jobId', new_id)
end

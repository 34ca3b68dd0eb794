--- @include "includes/add_delay_marker"
--- @include "includes/add_delayed"
--- @include "includes/delete_job"
--- @include "includes/own_deduplication"
--- @include "includes/text"
-- Whether a job may be added under a deduplication id. Returns nothing if so, and the job owns the
-- id now; else the id of the job that is there.
--
-- `rule` is BullMQ's {id, ttl, extend, replace, keepLastIfActive, reschedule}, `job` is {name, data,
-- opts, timestamp, delay}. `running` keeps which owners were seen in `active` during this call.
local function deduplicate(base, id, rule, job, max_events, running)
  local key, following = base .. 'de:' .. rule.id, base .. 'dn:' .. rule.id
  local events, delayed = base .. 'events', base .. 'delayed'
  local owner = redis.call('GET', key)
  if not owner then
    own_deduplication(key, id, rule)
    return
  end

  if rule.replace and redis.call('ZREM', delayed, owner) == 1 then
    delete_job(base .. owner)
    redis.call('DEL', following) -- asked for while the replaced one ran, and replaced with it
    redis.call('XADD', events, '*', 'event', 'removed', 'jobId', owner, 'prev', 'delayed')
    redis.call('XADD', events, 'MAXLEN', '~', max_events, '*', 'event', 'deduplicated',
      'jobId', id, 'deduplicationId', rule.id, 'deduplicatedJobId', owner)
    if (tonumber(rule.ttl) or 0) > 0 and not rule.extend and not rule.keepLastIfActive then
      redis.call('SET', key, id, 'KEEPTTL')
    else
      own_deduplication(key, id, rule)
    end
    return
  end

  if redis.call('PTTL', key) == -1 and redis.call('EXISTS', base .. owner) == 0 then
    redis.call('DEL', following)
    own_deduplication(key, id, rule) -- its owner was deleted by somebody who did not free it
    return
  end

  if rule.keepLastIfActive then
    if running[owner] == nil then
      running[owner] = redis.call('LPOS', base .. 'active', owner) or false
    end
    if running[owner] then
      redis.call('DEL', following)
      redis.call('HSET', following, 'name', job[1], 'data', job[2], 'opts', job[3], 'jid', id)
      redis.call('PERSIST', key)
      redis.call('XADD', events, 'MAXLEN', '~', max_events, '*', 'event', 'deduplicated',
        'jobId', owner, 'deduplicationId', rule.id, 'deduplicatedJobId', id)
      return owner
    end
  end
  if rule.replace then
    return owner
  end

  if rule.extend and (tonumber(rule.ttl) or 0) > 0 then
    own_deduplication(key, owner, rule)
  end
  redis.call('XADD', events, 'MAXLEN', '~', max_events, '*', 'event', 'deduplicated',
    'jobId', owner, 'deduplicationId', rule.id, 'deduplicatedJobId', id)
  if rule.reschedule and redis.call('ZSCORE', delayed, owner) then
    local due = tonumber(job[4]) + tonumber(job[5])
    redis.call('HSET', base .. owner, 'delay', job[5])
    add_delayed(base, owner, due)
    redis.call('XADD', events, 'MAXLEN', '~', max_events, '*',
      'event', 'delayed', 'jobId', owner, 'delay', text(due))
    add_delay_marker(base)
  end
  return owner
end

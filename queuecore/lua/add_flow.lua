-- Add a flow: jobs of any queues of one server, parents that wait for their children, all or none.
--
-- KEYS: receipt
-- ARGV: number, version, now, queues, count, bases..., jobs... (12 each: index of its base, id, name,
--   data, opts, timestamp, delay, priority, kind, parent's key or "", its `parent` field, rule)
-- Returns: {"ok", index, id, ...} for jobs that others stand for, {"late"}, or a reason and the index of the job that cannot be added ("no parent",
--   "other parent", "cycle"): then none is
-- Errors: none
-- Follows: BullMQ FlowProducer.add (addParentJob, addStandardJob, addDelayedJob, addPrioritizedJob,
--   releaseParentIfNoPendingDependencies)
--
-- kind: "parent" waits for its children, "lifo" runs before all that wait, "" neither. Parents stand
-- before their children. A job that exists becomes the child it is to be, if no other job waits for it.
-- rule: that of its deduplication, as JSON, or "": only for a job that has neither parent nor children.
-- The receipt is that of add_jobs: a call that is repeated or late changes nothing.
--- @include "includes/text"
--- @include "includes/get_target"
--- @include "includes/get_max_events"
--- @include "includes/add_marker"
--- @include "includes/add_delay_marker"
--- @include "includes/add_delayed"
--- @include "includes/add_prioritized"
--- @include "includes/deduplicate"
--- @include "includes/check_child"
--- @include "includes/adopt_child"
--- @include "includes/add_group_marker"
--- @include "includes/delay_group"
--- @include "includes/enter_group"
--- @include "includes/group_of"
local rcall = redis.call
local number, now, count = ARGV[1], ARGV[3], tonumber(ARGV[5])
local first = 6 + tonumber(ARGV[4])

local last = rcall('GET', KEYS[1])
if last then
  local kept = cjson.decode(last)
  if kept[1] == tonumber(number) then
    kept[1] = 'ok'
    return kept
  elseif kept[1] > tonumber(number) then
    return { 'late' }
  end
end

-- 1. Look whether all of them can be added; nothing is written yet, and a key of a wrong type ends it.
local queues = {}
for i = 6, first - 1 do
  local base = ARGV[i]
  local target, blocked, _, meta = get_target(base)
  queues[#queues + 1] = { base = base, target = target, blocked = blocked, meta = meta, added = 0 }
  rcall('GET', base .. 'id')
  rcall('LLEN', target)
  rcall('ZCARD', base .. 'delayed')
  rcall('ZCARD', base .. 'prioritized')
  rcall('ZCARD', base .. 'completed')
  rcall('ZCARD', base .. 'waiting-children')
  rcall('XLEN', base .. 'events')
end
local above, made, rules = {}, {}, {}
for i = 1, count do
  local at = first + (i - 1) * 12
  local queue = queues[tonumber(ARGV[at])]
  local job, parent_key = queue.base .. ARGV[at + 1], ARGV[at + 9]
  queue.added = queue.added + 1
  if ARGV[at + 11] ~= '' then
    rules[i] = cjson.decode(ARGV[at + 11])
    rcall('GET', queue.base .. 'de:' .. rules[i].id)
    rcall('LLEN', queue.base .. 'active')
  end
  if parent_key ~= '' then
    local problem = check_child(job, parent_key, above, made)
    if problem then
      return { problem, text(i) }
    end
  end
  made[job] = true
end

-- 2. Add them.
for _, queue in ipairs(queues) do
  rcall('INCRBY', queue.base .. 'id', queue.added)
  queue.max_events = get_max_events(queue.base, queue.meta, ARGV[2])
end
local done, answer = {}, { 'ok' }
for i = 1, count do
  local at = first + (i - 1) * 12
  local queue, id, name = queues[tonumber(ARGV[at])], ARGV[at + 1], ARGV[at + 2]
  local timestamp, delay, priority, kind = ARGV[at + 5], ARGV[at + 6], ARGV[at + 7], ARGV[at + 8]
  local base, parent_key, parent = queue.base, ARGV[at + 9], ARGV[at + 10]
  local job, events = base .. id, base .. 'events'
  local fresh, owner = rcall('EXISTS', job) == 0, nil
  if rules[i] and fresh then
    local new = { name, ARGV[at + 3], ARGV[at + 4], timestamp, delay }
    owner = deduplicate(base, id, rules[i], new, queue.max_events, {})
  end
  if owner then
    answer[#answer + 1] = text(i)
    answer[#answer + 1] = owner
  elseif not fresh then
    local finished = parent_key ~= '' and adopt_child(base, id, parent_key, parent)
    if finished then
      done[parent_key] = finished
    end
    rcall('XADD', events, 'MAXLEN', '~', queue.max_events, '*', 'event', 'duplicated', 'jobId', id)
  else
    rcall('HSET', job, 'name', name, 'data', ARGV[at + 3], 'opts', ARGV[at + 4],
      'timestamp', timestamp, 'delay', delay, 'priority', priority)
    if rules[i] then
      rcall('HSET', job, 'deid', rules[i].id)
    elseif parent_key ~= '' then
      rcall('HSET', job, 'parentKey', parent_key, 'parent', parent)
      rcall('SADD', parent_key .. ':dependencies', job)
    end
    rcall('XADD', events, '*', 'event', 'added', 'jobId', id, 'name', name)
    local group, rank = group_of(ARGV[at + 4])
    if group and not queue.grouped then
      queue.grouped = true
      rcall('SET', 'qc:' .. base .. 'grouped', '1')
    end
    if kind == 'parent' then
      rcall('ZADD', base .. 'waiting-children', timestamp, id)
      rcall('XADD', events, '*', 'event', 'waiting-children', 'jobId', id)
    elseif delay ~= '0' then
      local due = tonumber(timestamp) + tonumber(delay)
      if group then
        delay_group(base, id, group, due, timestamp)
      else
        add_delayed(base, id, due)
        queue.delayed = true
      end
      rcall('XADD', events, '*', 'event', 'delayed', 'jobId', id, 'delay', text(due))
    elseif group then
      enter_group(base, id, group, rank, kind == 'lifo', nil, timestamp)
      rcall('XADD', events, '*', 'event', 'waiting', 'jobId', id)
    else
      if priority ~= '0' then
        add_prioritized(base, id, tonumber(priority))
      else
        rcall(kind == 'lifo' and 'RPUSH' or 'LPUSH', queue.target, id)
      end
      rcall('XADD', events, '*', 'event', 'waiting', 'jobId', id)
      queue.ready = true
    end
  end
end

-- 3. A parent whose children had all completed before has nothing to wait for.
for parent_key, parent in pairs(done) do
  if rcall('SCARD', parent_key .. ':dependencies') == 0 then
    release_if_waiting(parent[1], parent[2], now)
  end
end
for _, queue in ipairs(queues) do
  if queue.ready then
    add_marker(queue.base, queue.blocked)
  end
  if queue.delayed then
    add_delay_marker(queue.base)
  end
  if queue.grouped then
    add_group_marker(queue.base, queue.blocked)
  end
  rcall('XTRIM', queue.base .. 'events', 'MAXLEN', '~', queue.max_events)
end
answer[1] = tonumber(number)
rcall('SET', KEYS[1], cjson.encode(answer), 'PX', 60000)
answer[1] = 'ok'
return answer

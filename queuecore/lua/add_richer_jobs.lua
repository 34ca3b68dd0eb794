-- Add jobs, some of which are deduplicated, grouped or children; the others as add_jobs does.
--
-- KEYS: id, wait, paused, active, delayed, prioritized, pc, events, meta, marker, receipt
-- ARGV: base, number, version, count, jobs... (8 each: id or "", name, data, opts, timestamp,
--   delay, priority, more)
-- Returns: {"ok", first} for ids in sequence, {"ok", "", id, ...}, {"late"}, {"other relay"}, or a reason
--   and the index of the job that cannot be added ("no parent", "other parent", "cycle", "group full"):
--   then none is
-- Errors: none
-- Follows: BullMQ addStandardJob, addDelayedJob, addPrioritizedJob
--
-- more: a JSON object: {lifo, de: the rule of the deduplication, parent: {key, its `parent` field}, group:
-- {id, priority, maxSize}, token: what names a job of an outbox}; that of the first has outbox: {source,
-- holder}. The id that is returned for a job that was there already, or that another stands for, is that
-- one's. The receipt is that of add_jobs. Jobs of an outbox are added for its holder alone (take_outbox),
-- and none whose token is there: a relay that could not delete its row has added it.
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
local rcall = redis.call
local base, number, count = ARGV[1], ARGV[2], tonumber(ARGV[4])
local events, receipt = KEYS[8], KEYS[11]

local last = rcall('GET', receipt)
if last then
  local kept = cjson.decode(last)
  if kept[1] == tonumber(number) then
    kept[1] = 'ok'
    return kept
  elseif kept[1] > tonumber(number) then
    return { 'late' }
  end
end

local target, blocked, _, row = get_target(base)
-- Can all be added? Nothing is written yet, and a key of a wrong type ends it here.
rcall('LLEN', target)
rcall('LLEN', KEYS[4])
rcall('ZCARD', KEYS[5])
rcall('ZCARD', KEYS[6])
local above, more = {}, {}
local own, sizes, grouped = 'qc:' .. base, {}, false
local outbox, relayed = nil, {}
for i = 0, count - 1 do
  local id = ARGV[5 + i * 8]
  more[i] = cjson.decode(ARGV[12 + i * 8])
  if more[i].outbox then
    outbox = own .. 'outbox:' .. more[i].outbox[1]
    if rcall('HGET', outbox, 'holder') ~= more[i].outbox[2] then
      return { 'other relay' }
    end
  end
  if outbox then
    if rcall('HEXISTS', outbox, more[i].token) == 1 then
      more[i] = { relayed = true }
    else
      relayed[#relayed + 1] = more[i].token
      relayed[#relayed + 1] = '1'
    end
  end
  if more[i].parent then
    local problem = check_child(id ~= '' and base .. id, more[i].parent[1], above, {})
    if problem then
      return { problem, text(i + 1) }
    end
  end
  if more[i].de then
    rcall('GET', base .. 'de:' .. more[i].de.id)
  end
  local group = more[i].group
  if group then
    grouped = true
    sizes[group.id] = sizes[group.id] or rcall('ZCARD', own .. 'group:' .. group.id)
      + rcall('ZCARD', own .. 'group-later:' .. group.id)
    if rcall('EXISTS', base .. id) == 0 then
      if group.maxSize and sizes[group.id] >= group.maxSize then
        return { 'group full', text(i + 1) }
      end
      sizes[group.id] = sizes[group.id] + 1
    end
  end
end
if grouped then
  rcall('ZCARD', base .. 'waiting-children')
  rcall('SET', own .. 'grouped', '1')
end
local last_id = rcall('INCRBY', KEYS[1], count)
local first_id = last_id - count + 1
local max_events = get_max_events(base, row, ARGV[3])

local answer = { 'ok', text(first_id) }
local sequence = true
local plain, lifo = {}, {}
local ready, delayed = false, false
local running = {}

for i = 0, count - 1 do
  local at = 5 + i * 8
  local id = ARGV[at]
  local name, timestamp, delay, priority = ARGV[at + 1], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6]
  local rule, parent, group = more[i].de, more[i].parent, more[i].group
  local fresh, owner = true, nil
  if id == '' then
    id = text(first_id + i)
  else
    sequence = false
    fresh = rcall('EXISTS', base .. id) == 0
  end
  if more[i].relayed then
    owner = id
  elseif rule and fresh then
    local job = { name, ARGV[at + 2], ARGV[at + 3], timestamp, delay }
    owner = deduplicate(base, id, rule, job, max_events, running)
  end
  answer[i + 3] = owner or id
  if owner then
    sequence = false
  elseif not fresh then
    if parent then
      local done = adopt_child(base, id, parent[1], parent[2])
      if done and rcall('SCARD', parent[1] .. ':dependencies') == 0 then
        release_if_waiting(done[1], done[2], timestamp)
      end
    end
    rcall('XADD', events, 'MAXLEN', '~', max_events, '*', 'event', 'duplicated', 'jobId', id)
  else
    rcall('HSET', base .. id, 'name', name, 'data', ARGV[at + 2], 'opts', ARGV[at + 3],
      'timestamp', timestamp, 'delay', delay, 'priority', priority)
    if rule then
      rcall('HSET', base .. id, 'deid', rule.id)
    end
    if parent then
      rcall('HSET', base .. id, 'parentKey', parent[1], 'parent', parent[2])
      rcall('SADD', parent[1] .. ':dependencies', base .. id)
    end
    rcall('XADD', events, '*', 'event', 'added', 'jobId', id, 'name', name)
    if delay ~= '0' then
      local due = tonumber(timestamp) + tonumber(delay)
      if group then
        delay_group(base, id, group.id, due, timestamp)
      else
        add_delayed(base, id, due)
        delayed = true
      end
      rcall('XADD', events, '*', 'event', 'delayed', 'jobId', id, 'delay', text(due))
    elseif group then
      enter_group(base, id, group.id, group.priority or 0, more[i].lifo, nil, timestamp)
      rcall('XADD', events, '*', 'event', 'waiting', 'jobId', id)
    else
      if priority ~= '0' then
        add_prioritized(base, id, tonumber(priority))
      elseif more[i].lifo then
        lifo[#lifo + 1] = id
      else
        plain[#plain + 1] = id
      end
      rcall('XADD', events, '*', 'event', 'waiting', 'jobId', id)
      ready = true
    end
  end
end

if #plain > 0 then
  rcall('LPUSH', target, unpack(plain))
end
if #lifo > 0 then
  rcall('RPUSH', target, unpack(lifo))
end
if ready then
  add_marker(base, blocked)
end
if delayed then
  add_delay_marker(base)
end
if grouped then
  add_group_marker(base, blocked)
end
rcall('XTRIM', events, 'MAXLEN', '~', max_events)
if #relayed > 0 then
  rcall('HSET', outbox, unpack(relayed))
end

local kept = { tonumber(number), answer[2] }
if sequence then
  answer = { 'ok', answer[2] }
else
  answer[2] = ''
  kept = { tonumber(number), unpack(answer, 2) }
end
rcall('SET', receipt, cjson.encode(kept), 'PX', 60000)
return answer

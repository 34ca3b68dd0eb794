-- Add jobs: plain, delayed, prioritized, LIFO, with automatic or own ids.
--
-- KEYS: id, wait, paused, active, delayed, prioritized, pc, events, meta, marker, receipt
-- ARGV: base, number, version, count, jobs... (8 each: id or "", name, data, opts, timestamp,
--   delay, priority, lifo "1" or "0")
-- Returns: {"ok", first} for ids in sequence, {"ok", "", id, ...}, or {"late"}
-- Errors: none
-- Follows: BullMQ addStandardJob, addDelayedJob, addPrioritizedJob
--
-- Jobs that are more than that are for add_richer_jobs: what this script held for them would cost each
-- add, used or not.
--
-- The receipt of the caller's lane holds the number of its last call and the ids it returned, for
-- a minute: a call whose answer was lost is repeated and returns the same ids, a call that arrives
-- after a later one changes nothing.
--- @include "includes/text"
--- @include "includes/get_target"
--- @include "includes/get_max_events"
--- @include "includes/add_marker"
--- @include "includes/add_delay_marker"
--- @include "includes/add_delayed"
--- @include "includes/add_prioritized"
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
local last_id = rcall('INCRBY', KEYS[1], count)
local first_id = last_id - count + 1
local max_events = get_max_events(base, row, ARGV[3])

local answer = { 'ok', text(first_id) }
local sequence = true
local plain, lifo = {}, {}
local ready, delayed = false, false

for i = 0, count - 1 do
  local at = 5 + i * 8
  local id = ARGV[at]
  local name, timestamp, delay, priority = ARGV[at + 1], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6]
  local fresh = true
  if id == '' then
    id = text(first_id + i)
  else
    sequence = false
    fresh = rcall('EXISTS', base .. id) == 0
  end
  answer[i + 3] = id
  if not fresh then
    rcall('XADD', events, 'MAXLEN', '~', max_events, '*', 'event', 'duplicated', 'jobId', id)
  else
    rcall('HSET', base .. id, 'name', name, 'data', ARGV[at + 2], 'opts', ARGV[at + 3],
      'timestamp', timestamp, 'delay', delay, 'priority', priority)
    rcall('XADD', events, '*', 'event', 'added', 'jobId', id, 'name', name)
    if delay ~= '0' then
      local due = tonumber(timestamp) + tonumber(delay)
      add_delayed(base, id, due)
      rcall('XADD', events, '*', 'event', 'delayed', 'jobId', id, 'delay', text(due))
      delayed = true
    else
      if priority ~= '0' then
        add_prioritized(base, id, tonumber(priority))
      elseif ARGV[at + 7] == '1' then
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
rcall('XTRIM', events, 'MAXLEN', '~', max_events)

local kept = { tonumber(number), answer[2] }
if sequence then
  answer = { 'ok', answer[2] }
else
  answer[2] = ''
  kept = { tonumber(number), unpack(answer, 2) }
end
rcall('SET', receipt, cjson.encode(kept), 'PX', 60000)
return answer

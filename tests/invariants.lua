-- What must be true of one queue at every moment, told in one atomic look. Standalone servers only:
-- it reads keys that it was not given, and all of them, which no script of the product may do.
--
-- KEYS: base ("<prefix>:<queue>:")
-- ARGV: tolerance (ms that two clocks may differ), idle ("1": no worker is alive or ever was killed)
-- Returns: {counts {state, number, ...}, violations {text, ...}} (at most 100 texts)
local call = redis.call
local base, tolerance, idle = KEYS[1], tonumber(ARGV[1]), ARGV[2] == '1'
local MARKED, STEP = 4096, 4294967296

local found = {}
local function wrong(rule, text)
  if #found < 100 then
    found[#found + 1] = rule .. ': ' .. text
  end
end

-- one place: an id stands in one state, once
local lists = { 'wait', 'paused', 'active' }
local sets = { 'delayed', 'prioritized', 'completed', 'failed', 'waiting-children' }
local state_of, score_of, counts = {}, {}, {}
local function place(id, state)
  if state_of[id] then
    wrong('one place', id .. ' stands in ' .. state_of[id] .. ' and in ' .. state)
  end
  state_of[id] = state
end
for _, state in ipairs(lists) do
  local ids = call('LRANGE', base .. state, 0, -1)
  for _, id in ipairs(ids) do
    place(id, state)
  end
  counts[#counts + 1] = state
  counts[#counts + 1] = #ids
end
for _, state in ipairs(sets) do
  local rows = call('ZRANGE', base .. state, 0, -1, 'WITHSCORES')
  for i = 1, #rows, 2 do
    place(rows[i], state)
    score_of[rows[i]] = tonumber(rows[i + 1])
  end
  counts[#counts + 1] = state
  counts[#counts + 1] = #rows / 2
end

-- grouped jobs: those that stand in `waiting-children` stand in their group or among the delayed ones
-- of all, those that run are counted, and a group that has jobs ready is in one place
local own = 'qc:' .. base
local in_group, delayed_in_group = {}, {}
local running, counted = {}, {}
if call('EXISTS', own .. 'grouped') == 1 then
  local status = {}
  local function is_at(group, where)
    if status[group] then
      wrong('group', group .. ' is both ' .. status[group] .. ' and ' .. where)
    end
    status[group] = where
  end
  for _, one in ipairs({ 'groups', 'groups-limited' }) do
    for _, group in ipairs(call('ZRANGE', own .. one, 0, -1)) do
      is_at(group, one)
    end
  end
  for _, one in ipairs({ 'groups-maxed', 'groups-paused' }) do
    for _, group in ipairs(call('SMEMBERS', own .. one)) do
      is_at(group, one)
    end
  end
  for group, where in pairs(status) do
    local rows = call('ZRANGE', own .. 'group:' .. group, 0, -1, 'WITHSCORES')
    for i = 1, #rows, 2 do
      if state_of[rows[i]] == 'waiting-children' then
        if in_group[rows[i]] then
          wrong('group', rows[i] .. ' stands in ' .. in_group[rows[i]] .. ' and in ' .. group)
        end
        in_group[rows[i]] = group
      end
    end
    if #rows == 0 and where ~= 'groups-paused' then
      wrong('group', group .. ' is in ' .. where .. ' without jobs')
    end
  end
  local next_due = call('ZRANGE', own .. 'group-delayed', 0, -1, 'WITHSCORES')
  for i = 1, #next_due, 2 do
    local later = call('ZRANGE', own .. 'group-later:' .. next_due[i], 0, -1, 'WITHSCORES')
    if later[2] ~= next_due[i + 1] then
      wrong('group', 'the next of ' .. next_due[i] .. ' is said to be due at ' .. next_due[i + 1]
        .. ', but is at ' .. tostring(later[2]))
    end
    for j = 1, #later, 2 do
      if in_group[later[j]] then
        wrong('group', later[j] .. ' is ready in ' .. in_group[later[j]] .. ' and delayed')
      end
      delayed_in_group[later[j]] = next_due[i]
    end
  end
  local kept = call('HGETALL', own .. 'group-active')
  for i = 1, #kept, 2 do
    local group = string.match(kept[i + 1], '^%S+ (.*)$')
    running[kept[i]] = group
    counted[group] = (counted[group] or 0) + 1
    if state_of[kept[i]] ~= 'active' then
      wrong('group', kept[i] .. ' runs as one of ' .. group .. ' but stands in '
        .. tostring(state_of[kept[i]]))
    end
  end
  local told = call('HGETALL', own .. 'group-running')
  for i = 1, #told, 2 do
    if counted[told[i]] ~= tonumber(told[i + 1]) then
      wrong('group', told[i + 1] .. ' of ' .. told[i] .. ' are said to run, but '
        .. tostring(counted[told[i]]) .. ' do')
    end
    counted[told[i]] = nil
  end
  for group, number in pairs(counted) do
    wrong('group', number .. ' of ' .. group .. ' run uncounted')
  end
end

-- each job by itself
local last_id = tonumber(call('GET', base .. 'id') or 0)
for id, state in pairs(state_of) do
  local job = base .. id
  local row = call('HMGET', job, 'name', 'data', 'opts', 'timestamp', 'processedOn', 'finishedOn',
    'priority', 'delay', 'ats', 'atm', 'parentKey', 'returnvalue', 'failedReason', 'sa', 'parent')
  local at = ' of ' .. id .. ' in ' .. state
  if not (row[1] and row[2] and row[3] and row[4]) then
    wrong('no ghost', 'name, data, opts or timestamp' .. at .. ' is missing')
  end
  local timestamp, processed = tonumber(row[4]), tonumber(row[5])
  local ended, priority = tonumber(row[6]), tonumber(row[7]) or 0
  local started, made = tonumber(row[9]) or 0, tonumber(row[10]) or 0
  local done = state == 'completed' or state == 'failed'

  local left = call('PTTL', job .. ':lock')
  if left ~= -2 and state ~= 'active' then
    wrong('lock', 'the lock' .. at .. ' is left over')
  elseif left == -1 then
    wrong('lock', 'the lock' .. at .. ' never runs out')
  end
  if made > started then
    wrong('attempts', made .. ' attempts made but ' .. started .. ' started' .. at)
  end
  if string.match(id, '^%d+$') and tonumber(id) > last_id then
    wrong('counter', 'the counter stands at ' .. last_id .. ', below the number' .. at)
  end
  if done then
    if not ended then
      wrong('finished', 'finishedOn' .. at .. ' is missing')
    elseif ended ~= score_of[id] then
      wrong('finished', 'finishedOn' .. at .. ' is not its score')
    elseif processed and processed > ended + tolerance then
      wrong('time', 'processedOn' .. at .. ' is after finishedOn')
    end
    if state == 'completed' and not row[12] then
      wrong('finished', 'returnvalue' .. at .. ' is missing')
    elseif state == 'failed' and not row[13] then
      wrong('finished', 'failedReason' .. at .. ' is missing')
    end
    if row[14] then
      wrong('finished', 'sa' .. at .. ' is left over')
    end
  elseif ended then
    wrong('finished', 'finishedOn' .. at .. ' is left over')
  end
  if state == 'active' and not processed then
    wrong('time', 'processedOn' .. at .. ' is missing')
  end
  if timestamp and processed and timestamp > processed + tolerance then
    wrong('time', 'timestamp' .. at .. ' is after processedOn')
  end
  if state == 'prioritized' then
    if priority == 0 or math.floor(score_of[id] / STEP) ~= priority then
      wrong('priority', 'priority ' .. priority .. at .. ' does not fit its score ' .. score_of[id])
    end
  elseif state == 'delayed' then
    local due = math.floor(score_of[id] / MARKED)
    if timestamp and due < timestamp - tolerance then
      wrong('delay', 'the due time' .. at .. ' is before its timestamp')
    end
  elseif state == 'waiting-children' and (in_group[id] or delayed_in_group[id]) then
    local opts = cjson.decode(row[3] or '{}')
    local where = in_group[id] or delayed_in_group[id]
    if not opts.group or opts.group.id ~= where then
      wrong('group', where .. ' is not the group of the options' .. at)
    end
  elseif state == 'waiting-children' and call('SCARD', job .. ':dependencies') == 0 then
    wrong('parent', 'no child is left' .. at)
  end
  -- A parent forgets a child that failed with rdof, also when that is tried again.
  local forgotten = made > 0 and string.find(row[15] or '', '"rdof":true', 1, true)
  if row[11] and not done and not forgotten and call('EXISTS', row[11]) == 1
      and call('SISMEMBER', row[11] .. ':dependencies', job) == 0 then
    wrong('parent', 'the parent' .. at .. ' does not wait for it')
  end
end
for _, id in ipairs(call('SMEMBERS', base .. 'stalled')) do
  if state_of[id] ~= 'active' then
    wrong('stalled', id .. ' is watched for a stall but stands in ' .. tostring(state_of[id]))
  end
end

-- the queue
local meta = call('HMGET', base .. 'meta', 'paused', 'concurrency', 'opts.maxLenEvents')
local active = call('LLEN', base .. 'active')
if meta[2] and active > tonumber(meta[2]) then
  wrong('concurrency', active .. ' are active, more than ' .. meta[2])
end
if call('PTTL', base .. 'limiter') == -1 then
  wrong('limiter', 'it never runs out')
end
if meta[3] and call('XLEN', base .. 'events') > tonumber(meta[3]) + 200 then
  wrong('events', call('XLEN', base .. 'events') .. ' are kept, more than ' .. meta[3])
end
if call('EXISTS', base .. 'wait') == 1 and call('EXISTS', base .. 'paused') == 1 and not meta[1] then
  wrong('paused', 'jobs stand in `paused` though the queue runs')
end
if idle and active == 0 then
  local ready = call('LLEN', base .. 'wait') + call('ZCARD', base .. 'prioritized')
  local woken = call('ZSCORE', base .. 'marker', '0')
  if ready > 0 and not meta[1] and not woken then
    wrong('marker', ready .. ' jobs are ready but nothing wakes a worker')
  end
  if call('EXISTS', base .. 'delayed') == 1 and not woken
      and not call('ZSCORE', base .. 'marker', '1') then
    wrong('marker', 'jobs are delayed but nothing wakes a worker')
  end
  woken = call('ZSCORE', own .. 'marker', '0')
  if call('EXISTS', own .. 'groups') == 1 and not meta[1] and not woken then
    wrong('marker', 'groups have jobs but nothing wakes a worker')
  end
  if call('EXISTS', own .. 'group-delayed', own .. 'groups-limited') > 0 and not woken
      and not call('ZSCORE', own .. 'marker', '1') then
    wrong('marker', 'grouped jobs are due later but nothing wakes a worker')
  end
end

-- no orphan: every key of a job belongs to one that stands somewhere
local parts = { lock = true, logs = true, dependencies = true, processed = true, failed = true,
  unsuccessful = true }
local cursor = '0'
repeat
  local page = call('SCAN', cursor, 'MATCH', string.gsub(base, '[%[%]?*\\^]', '\\%0') .. '*',
    'COUNT', 5000)
  cursor = page[1]
  for _, key in ipairs(page[2]) do
    local rest = string.sub(key, #base + 1)
    local id, part = string.match(rest, '^(.*):([^:]*)$')
    if id and parts[part] and id ~= 'metrics' then
      if not state_of[id] then
        wrong('orphan', rest .. ' belongs to no job')
      end
    elseif not state_of[rest] and rest ~= 'meta' and call('TYPE', key).ok == 'hash'
        and call('HEXISTS', key, 'timestamp') == 1 then
      wrong('orphan', rest .. ' stands in no state')
    end
  end
until cursor == '0'
return { counts, found }

-- Give jobs that stand in no state back the one that their fields tell, or delete what is left of them.
--
-- KEYS: wait, paused, active, completed, failed, delayed, prioritized, waiting-children, events
-- ARGV: base, now, dry ("1": write nothing), longest, ids...
-- Returns: {how, id, how, id, ...}; -1 where the lists hold more than `longest`: to walk them would
--   take long
-- Errors: none
-- Follows: no BullMQ operation
--
-- `how` is `restored` (it never ended: it waits, for its children or its time if need be), `deleted`
-- (it ended, or only parts of it are there), or `kept` (a scheduler's run, or a job without name or
-- data: nobody can tell what it should be). A job that stands somewhere, or is locked, is no orphan.
--- @include "includes/add_delay_marker"
--- @include "includes/add_marker"
--- @include "includes/add_prioritized"
--- @include "includes/delay_group"
--- @include "includes/group_of_job"
--- @include "includes/wait_in_group"
--- @include "includes/count_of"
--- @include "includes/get_target"
--- @include "includes/is_job"
--- @include "includes/text"
local rcall = redis.call
local base, now, dry = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1'
local length = 0
for i = 1, 3 do
  length = length + count_of('LLEN', KEYS[i])
end
if length > tonumber(ARGV[4]) then
  return -1
end

local function stands(id)
  for i = 4, 8 do
    if rcall('ZSCORE', KEYS[i], id) then
      return true
    end
  end
  for i = 1, 3 do
    if rcall('LPOS', KEYS[i], id) then
      return true
    end
  end
  return false
end

-- A job's id may look like another's part (`a:b:logs`): that one is no part.
local function parts_of(job)
  local keys = {}
  for _, part in ipairs({ 'logs', 'dependencies', 'processed', 'failed', 'unsuccessful' }) do
    local key = job .. ':' .. part
    if rcall('EXISTS', key) == 1 and not is_job(key) then
      keys[#keys + 1] = key
    end
  end
  return keys
end

local function restore(id, row)
  local delay, priority = tonumber(row[6]) or 0, tonumber(row[7]) or 0
  if count_of('SCARD', base .. id .. ':dependencies') > 0 then
    rcall('ZADD', KEYS[8], text(now), id)
    rcall('XADD', KEYS[9], '*', 'event', 'waiting-children', 'jobId', id)
    return
  end
  local due = (tonumber(row[4]) or 0) + delay
  local target, blocked = get_target(base)
  local group = group_of_job(base, id)
  if delay > 0 and due > now then
    if group then
      delay_group(base, id, group, due, row[4])
      add_group_marker(base, blocked)
    else
      rcall('ZADD', KEYS[6], text(due * 4096), id)
    end
    rcall('XADD', KEYS[9], '*', 'event', 'delayed', 'jobId', id, 'delay', text(due))
    add_delay_marker(base)
    return
  end
  if not group then
    if priority > 0 then
      add_prioritized(base, id, priority)
    else
      rcall('LPUSH', target, id)
    end
    add_marker(base, blocked)
  else
    wait_in_group(base, id, false, blocked)
  end
  rcall('XADD', KEYS[9], '*', 'event', 'waiting', 'jobId', id)
end

local answer = {}
for i = 5, #ARGV do
  local id = ARGV[i]
  local job = base .. id
  local job_is_there = is_job(job)
  if (job_is_there or rcall('EXISTS', job) == 0) and rcall('EXISTS', job .. ':lock') == 0
      and not stands(id) then
    local how
    if not job_is_there then
      local keys = parts_of(job)
      if #keys > 0 then
        how = 'deleted'
        if not dry then
          rcall('DEL', unpack(keys))
        end
      end
    else
      local row = rcall('HMGET', job, 'name', 'data', 'opts', 'timestamp', 'finishedOn', 'delay',
        'priority', 'rjk')
      if row[5] then
        how = 'deleted'
        if not dry then
          rcall('DEL', job, unpack(parts_of(job)))
        end
      elseif row[8] or not (row[1] and row[2] and row[3]) then
        how = 'kept'
      else
        how = 'restored'
        if not dry then
          restore(id, row)
        end
      end
    end
    if how then
      answer[#answer + 1] = how
      answer[#answer + 1] = id
    end
  end
end
return answer

-- Delete jobs that wait in groups, a batch a call.
--
-- KEYS: groups, groups-limited, groups-maxed, groups-paused, group-delayed
-- ARGV: base, batch, delayed ("1": those that are due later, too)
-- Returns: how many are deleted; call again while some are
-- Errors: none
-- Follows: BullMQ drain, for grouped jobs
--- @include "includes/drop_job"
--- @include "includes/forget_grouped"
--- @include "includes/is_pending_run"
local rcall = redis.call
local base, left = ARGV[1], tonumber(ARGV[2])
local own = 'qc:' .. base
local deleted, seen = 0, 0

local function drop(ids, key)
  for i = 1, #ids do
    local id = ids[i]
    if not is_pending_run(base, id, rcall('HGET', base .. id, 'rjk')) then
      rcall('ZREM', key, id) -- also where a peer deleted its job
      if rcall('ZREM', base .. 'waiting-children', id) == 1 then
        forget_grouped(base, id)
        drop_job(base, id, true, true)
        deleted = deleted + 1
      end
    end
  end
end

local function drain(group)
  local key = own .. 'group:' .. group
  seen = seen + 1
  drop(rcall('ZRANGE', key, 0, left - deleted - 1), key)
  if rcall('EXISTS', key) == 0 then
    rcall('ZREM', KEYS[1], group)
    rcall('ZREM', KEYS[2], group)
    rcall('SREM', KEYS[3], group)
  end
end

for i = 1, 4 do
  local groups = i <= 2 and rcall('ZRANGE', KEYS[i], 0, left - 1) or rcall('SMEMBERS', KEYS[i])
  for j = 1, #groups do
    if deleted >= left then
      return deleted
    end
    drain(groups[j])
  end
end
if ARGV[3] == '1' and deleted < left then
  drop(rcall('ZRANGE', KEYS[5], 0, left - deleted - 1), KEYS[5])
end
return deleted

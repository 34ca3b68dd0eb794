-- Delete jobs that wait in groups, a batch a call.
--
-- KEYS: groups, groups-limited, groups-maxed, groups-paused, group-delayed
-- ARGV: base, batch, delayed ("1": those that are due later, too)
-- Returns: how many are deleted; call again while some are
-- Errors: none
-- Follows: BullMQ drain, for grouped jobs
--- @include "includes/drop_job"
--- @include "includes/forget_group"
--- @include "includes/is_pending_run"
--- @include "includes/leave_later"
local rcall = redis.call
local base, left = ARGV[1], tonumber(ARGV[2])
local own = 'qc:' .. base
local deleted = 0

-- Those of `ids` that are no next runs of schedulers are deleted, and returned.
local function drop(ids)
  local gone = {}
  for i = 1, #ids do
    local id = ids[i]
    if not is_pending_run(base, id, rcall('HGET', base .. id, 'rjk')) then
      gone[#gone + 1] = id -- also where a peer deleted its job
      if rcall('ZREM', base .. 'waiting-children', id) == 1 then
        drop_job(base, id, true, true)
        deleted = deleted + 1
      end
    end
  end
  return gone
end

for i = 1, 4 do
  local groups = i <= 2 and rcall('ZRANGE', KEYS[i], 0, left - 1) or rcall('SMEMBERS', KEYS[i])
  for j = 1, #groups do
    if deleted >= left then
      return deleted
    end
    local key = own .. 'group:' .. groups[j]
    local gone = drop(rcall('ZRANGE', key, 0, left - deleted - 1))
    if #gone > 0 then
      rcall('ZREM', key, unpack(gone))
    end
    forget_group(base, groups[j])
  end
end
if ARGV[3] == '1' then
  local groups = rcall('ZRANGE', KEYS[5], 0, left - 1)
  for i = 1, #groups do
    if deleted >= left then
      break
    end
    leave_later(base, groups[i],
      drop(rcall('ZRANGE', own .. 'group-later:' .. groups[i], 0, left - deleted - 1)))
  end
end
return deleted

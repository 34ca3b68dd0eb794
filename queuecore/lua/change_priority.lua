-- Give a job another priority, and its new place if it waits.
--
-- KEYS: prioritized
-- ARGV: base, id, priority, lifo ("1" or "0"), opts (of a grouped job: its options with that priority;
--   else "")
-- Returns: 0, or a code
-- Errors: -1 no such job
-- Follows: BullMQ changePriority
--- @include "includes/text"
--- @include "includes/get_target"
--- @include "includes/add_marker"
--- @include "includes/add_prioritized"
--- @include "includes/group_of_job"
--- @include "includes/group_turn"
--- @include "includes/is_job"
local rcall = redis.call
local base, id, priority = ARGV[1], ARGV[2], tonumber(ARGV[3])
local job = base .. id
if not is_job(job) then
  return -1
end
local group = ARGV[5] ~= '' and group_of_job(base, id)
if group then
  -- Inside its group; one that is delayed or runs finds its priority in its options.
  local ready = 'qc:' .. base .. 'group:' .. group
  if rcall('ZSCORE', ready, id) then
    local place = group_turn(base) % 2147483648
    if ARGV[4] == '1' then
      place = -place
    end
    rcall('ZADD', ready, text(priority * 4294967296 + 2147483648 + place), id)
  end
  local kept = rcall('HGET', 'qc:' .. base .. 'group-active', id)
  if kept then
    -- It runs: should it be tried again, then with that priority.
    local score, name = string.match(kept, '^(%S+) (.*)$')
    score = priority * 4294967296 + tonumber(score) % 4294967296
    rcall('HSET', 'qc:' .. base .. 'group-active', id, text(score) .. ' ' .. name)
  end
  rcall('HSET', job, 'opts', ARGV[5])
  return 0
end
local target, blocked = get_target(base)
if rcall('ZREM', KEYS[1], id) > 0 or rcall('LREM', target, -1, id) > 0 then
  if priority == 0 then
    rcall(ARGV[4] == '1' and 'RPUSH' or 'LPUSH', target, id)
    add_marker(base, blocked)
  elseif ARGV[4] == '1' then
    rcall('ZADD', KEYS[1], text(priority * 4294967296), id)
  else
    add_prioritized(base, id, priority)
    add_marker(base, blocked)
  end
end
rcall('HSET', job, 'priority', ARGV[3])
return 0

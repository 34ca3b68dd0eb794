-- Give a job another priority, and its new place if it waits.
--
-- KEYS: prioritized
-- ARGV: base, id, priority, lifo ("1" or "0")
-- Returns: 0, or a code
-- Errors: -1 no such job
-- Follows: BullMQ changePriority
--- @include "includes/text"
--- @include "includes/get_target"
--- @include "includes/add_marker"
--- @include "includes/add_prioritized"
--- @include "includes/is_job"
local rcall = redis.call
local base, id, priority = ARGV[1], ARGV[2], tonumber(ARGV[3])
local job = base .. id
if not is_job(job) then
  return -1
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

-- Wake a worker for jobs that nothing announces.
--
-- KEYS: meta, wait, prioritized, delayed, active, marker, limiter
-- ARGV: base, now, dry ("1": write nothing), late
-- Returns: {jobs that are ready and not announced, delayed jobs that are not, `late` ms past due}
-- Errors: none
-- Follows: no BullMQ operation
--
-- While jobs run, nothing need announce others: whoever ends one looks for the next. A marker too
-- many costs one look of one worker.
--- @include "includes/add_delay_marker"
--- @include "includes/add_marker"
--- @include "includes/count_of"
local rcall = redis.call
local base, dry = ARGV[1], ARGV[3] == '1'
if redis.pcall('HEXISTS', KEYS[1], 'paused') == 1 or count_of('LLEN', KEYS[5]) > 0
    or redis.pcall('ZSCORE', KEYS[6], '0') then
  return { 0, 0 }
end
local ready = count_of('LLEN', KEYS[2]) + count_of('ZCARD', KEYS[3])
if rcall('EXISTS', KEYS[7]) == 1 then
  ready = 0 -- a rate limit may hold them; workers look again when it ends
end
local overdue = 0
if not redis.pcall('ZSCORE', KEYS[6], '1') then
  local latest = (tonumber(ARGV[2]) - tonumber(ARGV[4])) * 4096
  local number = redis.pcall('ZCOUNT', KEYS[4], '-inf', string.format('%.0f', latest))
  overdue = type(number) == 'number' and number or 0
end
if not dry then
  if ready > 0 then
    add_marker(base)
  end
  if overdue > 0 then
    add_delay_marker(base)
  end
end
return { ready, overdue }

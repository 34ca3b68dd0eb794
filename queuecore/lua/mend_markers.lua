-- Wake a worker for jobs that nothing announces.
--
-- KEYS: meta, wait, prioritized, delayed, active, marker, limiter, groups, group-delayed, groups-limited,
--   own-marker, limits
-- ARGV: base, now, dry ("1": write nothing), late
-- Returns: {jobs (and groups) that are ready and not announced, delayed jobs (and groups that wait for a
--   time) that are not, `late` ms past due}
-- Errors: none
-- Follows: no BullMQ operation
--
-- While jobs run, nothing need announce others: whoever ends one looks for the next. A marker too
-- many costs one look of one worker.
--- @include "includes/add_delay_marker"
--- @include "includes/add_group_marker"
--- @include "includes/add_marker"
--- @include "includes/count_of"
--- @include "includes/text"
local rcall = redis.call
local base, dry = ARGV[1], ARGV[3] == '1'
if redis.pcall('HEXISTS', KEYS[1], 'paused') == 1 or count_of('LLEN', KEYS[5]) > 0 then
  return { 0, 0 }
end

local function announced(marker, what)
  local score = redis.pcall('ZSCORE', marker, what)
  return type(score) == 'string'
end

local latest = tonumber(ARGV[2]) - tonumber(ARGV[4])
local function late(key, steps)
  return count_of('ZCOUNT', key, '-inf', text(latest * steps))
end

local limited = rcall('EXISTS', KEYS[7]) == 1 -- workers look again when it ends
local shared = redis.pcall('GET', KEYS[12])
for key in string.gmatch(type(shared) == 'string' and shared or '', '[^\n]+') do
  local waits = redis.pcall('HGET', key .. ':waiting', string.sub(base, 1, -2))
  if type(waits) == 'string' and tonumber(string.match(waits, '%d+$')) >= tonumber(ARGV[2]) then
    limited = true -- or when their turn comes
  end
end
local ready, overdue = 0, 0
if not announced(KEYS[6], '0') then
  ready = limited and 0 or count_of('LLEN', KEYS[2]) + count_of('ZCARD', KEYS[3])
  overdue = announced(KEYS[6], '1') and 0 or late(KEYS[4], 4096)
end
local groups, later = 0, 0
if not announced(KEYS[11], '0') then
  groups = limited and 0 or count_of('ZCARD', KEYS[8])
  later = announced(KEYS[11], '1') and 0 or late(KEYS[9], 4096) + late(KEYS[10], 1)
end
if not dry then
  if ready > 0 then
    add_marker(base)
  end
  if overdue > 0 then
    add_delay_marker(base)
  end
  if groups + later > 0 then
    add_group_marker(base, false)
  end
end
return { ready + groups, overdue + later }

-- Pause or resume a group, or give it limits of its own.
--
-- KEYS: grouped, marker
-- ARGV: base, group, change ("pause", "resume", "concurrency", "rate", "limit"), value
-- Returns: 1 if something changed, else 0
-- Errors: none
-- Follows: BullMQ Pro pauseGroup, resumeGroup, setGroupConcurrency, setGroupRateLimit, rateLimitGroup
--
-- value: the concurrency, "max,duration" (ms) of the rate, or for how long (ms) nothing may start; ""
-- takes the limit away. The next claim finds out what the group may run then.
--- @include "includes/add_group_marker"
--- @include "includes/get_target"
--- @include "includes/group_turn"
local rcall = redis.call
local base, group, change, value = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local own = 'qc:' .. base
local changed
rcall('SET', KEYS[1], '1')
if change == 'pause' then
  changed = rcall('SADD', own .. 'groups-paused', group)
elseif change == 'resume' then
  changed = rcall('SREM', own .. 'groups-paused', group)
elseif change == 'limit' then
  if value == '' then
    changed = rcall('DEL', own .. 'group-limiter:' .. group)
  else
    rcall('SET', own .. 'group-limiter:' .. group, '9007199254740991', 'PX', value)
    changed = 1
  end
elseif value == '' then
  changed = rcall('HDEL', own .. 'group-' .. change, group)
else
  rcall('HSET', own .. 'group-' .. change, group, value)
  changed = 1
end
rcall('ZREM', own .. 'groups-limited', group)
rcall('SREM', own .. 'groups-maxed', group)
if rcall('SISMEMBER', own .. 'groups-paused', group) == 1 then
  rcall('ZREM', own .. 'groups', group)
elseif rcall('EXISTS', own .. 'group:' .. group) == 1 then
  rcall('ZADD', own .. 'groups', 'NX', text(group_turn(base)), group)
  local _, blocked = get_target(base)
  add_group_marker(base, blocked)
end
return changed

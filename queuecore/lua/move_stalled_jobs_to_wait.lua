-- Find jobs whose worker died and let them run again; mark the others for the next check.
--
-- KEYS: stalled, active, stalled-check, events, meta
-- ARGV: base, now, interval, max_stalled, max_unconfirmed
-- Returns: {recovered ids, ids that fail now}
-- Errors: none
-- Follows: BullMQ moveStalledJobsToWait
--
-- A job is found when it was active at the last check and has no lock now.
--- @include "includes/get_target"
--- @include "includes/recover_stalled"
--- @include "includes/settle_groups"
--- @include "includes/wake_siblings"
local rcall = redis.call
local base, events = ARGV[1], KEYS[4]
local recovered, failing = {}, {}
if rcall('SET', KEYS[3], ARGV[2], 'PX', ARGV[3], 'NX') == false then
  return { recovered, failing }
end
local target, _, paused, meta = get_target(base)
rcall('XTRIM', events, 'MAXLEN', '~', meta[6] or '10000')
local suspects = rcall('SMEMBERS', KEYS[1])
rcall('DEL', KEYS[1])
local max_stalled, max_unconfirmed = tonumber(ARGV[4]), tonumber(ARGV[5])
for i = 1, #suspects do
  local id = suspects[i]
  if rcall('EXISTS', base .. id .. ':lock') == 0 and rcall('LREM', KEYS[2], 1, id) > 0 then
    if recover_stalled(base, id, target, paused, events, max_stalled, max_unconfirmed) then
      failing[#failing + 1] = id
    end
    recovered[#recovered + 1] = id
  end
end
local running = rcall('LRANGE', KEYS[2], 0, -1)
settle_groups(base, running)
add_group_marker(base, paused)
wake_siblings(base)
for first = 1, #running, 4000 do
  rcall('SADD', KEYS[1], unpack(running, first, math.min(first + 3999, #running)))
end
return { recovered, failing }

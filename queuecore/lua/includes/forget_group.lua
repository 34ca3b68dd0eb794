-- A group in which nothing waits any more has no turn, and nothing holds it back but a pause.
local function forget_group(base, group)
  local own = 'qc:' .. base
  if redis.call('EXISTS', own .. 'group:' .. group) == 0 then
    redis.call('ZREM', own .. 'groups', group)
    redis.call('ZREM', own .. 'groups-limited', group)
    redis.call('SREM', own .. 'groups-maxed', group)
  end
end

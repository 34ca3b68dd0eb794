-- Whether a group is where workers look, or where something says why they need not.
local function has_turn(base, group)
  local own = 'qc:' .. base
  return redis.call('ZSCORE', own .. 'groups', group) or redis.call('ZSCORE', own .. 'groups-limited', group)
    or redis.call('SISMEMBER', own .. 'groups-maxed', group) == 1
    or redis.call('SISMEMBER', own .. 'groups-paused', group) == 1
end

-- The next place in the order of jobs and groups.
local function group_turn(base)
  return redis.call('INCR', 'qc:' .. base .. 'group-turn')
end

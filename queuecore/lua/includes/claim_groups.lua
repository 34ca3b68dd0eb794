--- @include "includes/text"
--- @include "includes/group_turn"
-- Claim up to `room` jobs of the groups that survey_groups found: one a group and round.
--
-- `start(id, group, score)` claims one: it returns nil if a suspect keeps it back, false if there is no
-- such job, "alone" for a suspect that was claimed; `failing` then tells by id whether it only has to
-- fail, which a rate limit does not count. Returns how many were claimed.
local function claim_groups(base, now, room, groups, start, failing)
  local own = 'qc:' .. base
  local got, round, served, stopped = 0, groups, {}, false
  for i = 1, #groups do
    groups[i].got, groups[i].counted = 0, 0
  end
  while got < room and #round > 0 and not stopped do
    local next_round = {}
    for i = 1, #round do
      local group = round[i]
      if got >= room or stopped then
        break
      end
      local ready = own .. 'group:' .. group.id
      local taken = false
      while not taken do
        local first = redis.call('ZRANGE', ready, 0, 0, 'WITHSCORES')
        local id = first[1]
        if not id then
          break
        end
        local begun = start(id, group.id, first[2])
        if begun == nil then
          stopped = true
          break
        end
        redis.call('ZREM', ready, id)
        if begun then
          taken, stopped = true, begun == 'alone'
          group.got, group.counted = group.got + 1, group.counted + (failing[id] and 0 or 1)
          got = got + 1
        end
      end
      group.served = #served + 1
      served[group.served] = group
      if taken and group.got < group.room then
        next_round[#next_round + 1] = group
      end
    end
    round = next_round
  end
  -- Each group gets its next turn in the order in which they were served last.
  for i = 1, #served do
    local group = served[i]
    if group.served == i then
      local running, left = group.running + group.got, nil
      local counter = own .. 'group-limiter:' .. group.id
      if group.got > 0 then
        redis.call('HINCRBY', own .. 'group-running', group.id, group.got)
      end
      if group.max and group.counted > 0 then
        local used = redis.call('INCRBY', counter, group.counted)
        if used == group.counted then
          redis.call('PEXPIRE', counter, group.duration)
        end
        left = used >= group.max and redis.call('PTTL', counter)
      end
      if redis.call('EXISTS', own .. 'group:' .. group.id) == 0 then
        redis.call('ZREM', own .. 'groups', group.id)
      elseif group.most and running >= group.most then
        redis.call('ZREM', own .. 'groups', group.id)
        redis.call('SADD', own .. 'groups-maxed', group.id)
      elseif left and left > 0 then
        redis.call('ZREM', own .. 'groups', group.id)
        redis.call('ZADD', own .. 'groups-limited', text(tonumber(now) + left), group.id)
      elseif group.got > 0 then
        redis.call('ZADD', own .. 'groups', text(group_turn(base)), group.id)
      end
    end
  end
  return got
end

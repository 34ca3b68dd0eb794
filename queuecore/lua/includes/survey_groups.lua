--- @include "includes/text"
-- Look at the groups whose turn is next until `need` jobs are found that may run now. A group that may
-- run none leaves the turns: for as long as its limit holds, or until one of its jobs ends.
-- `limits` is {concurrency, max, duration} of all groups; single ones may have their own.
-- Returns {group, room, concurrency, running, max, duration, used} of each, and how many jobs that are.
local function survey_groups(base, now, need, limits)
  local own = 'qc:' .. base
  local found, total, seen = {}, 0, 0
  while total < need and seen < 400 do
    local ids = redis.call('ZRANGE', own .. 'groups', #found, #found + math.min(need, 100) - 1)
    if #ids == 0 then
      break
    end
    seen = seen + #ids
    local counters = {}
    for i = 1, #ids do
      counters[i] = own .. 'group-limiter:' .. ids[i]
    end
    local running = redis.call('HMGET', own .. 'group-running', unpack(ids))
    local most = redis.call('HMGET', own .. 'group-concurrency', unpack(ids))
    local rates = redis.call('HMGET', own .. 'group-rate', unpack(ids))
    local used = redis.call('MGET', unpack(counters))
    for i = 1, #ids do
      local group = { id = ids[i], running = tonumber(running[i]) or 0, used = tonumber(used[i]) or 0 }
      group.most = tonumber(most[i]) or limits[1]
      group.max, group.duration = limits[2], limits[3]
      if rates[i] then
        local max, duration = string.match(rates[i], '^(%d+),(%d+)$')
        group.max, group.duration = tonumber(max), duration
      end
      local room = redis.call('ZCARD', own .. 'group:' .. ids[i])
      if room == 0 then
        redis.call('ZREM', own .. 'groups', ids[i])
      elseif group.most and group.running >= group.most then
        room = 0
        redis.call('ZREM', own .. 'groups', ids[i])
        redis.call('SADD', own .. 'groups-maxed', ids[i])
      else
        room = group.most and math.min(room, group.most - group.running) or room
        -- Without a limit a stop by hand holds all the same.
        if group.max and group.used >= group.max or group.used >= 9007199254740991 then
          local left = redis.call('PTTL', counters[i])
          if left > 0 then
            room = 0
            redis.call('ZREM', own .. 'groups', ids[i])
            redis.call('ZADD', own .. 'groups-limited', text(tonumber(now) + left), ids[i])
          else
            redis.call('DEL', counters[i]) -- without a time it would hold for ever
            group.used = 0
          end
        end
        if room > 0 and group.max then
          room = math.min(room, group.max - group.used)
        end
      end
      if room > 0 then
        group.room = room
        found[#found + 1] = group
        total = total + room
      end
    end
  end
  return found, total
end

-- What a queue with named limits needs of its claim: made only there, so that others pay nothing for it.
--
-- cut(room): how many of `room` jobs the limits allow now. turn_away(): note that jobs wait for them;
-- how long (ms) a rate holds. count(started, counted): that so many were started. settle(want): give
-- up the queue's turn unless it was turned away, and wake who is next where something is free.
local function make_limits(root, lines, stamp)
--- @include "includes/text"
--- @include "includes/survey_limits"
--- @include "includes/next_in_turn"
  local queue, now, surveyed, waits = string.sub(root, 1, -2), tonumber(stamp), nil, false

  local function cut(room)
    surveyed = survey_limits(queue, lines, now)
    for i = 1, #surveyed do
      local limit = surveyed[i]
      if limit.free > 0 then
        -- The first in turn gets its share, the others nothing yet.
        limit.room = not next_in_turn(limit, queue) and math.ceil(limit.free / (#limit.others + 1)) or 0
      end
      room = math.min(room, limit.room)
    end
    return room
  end

  local function turn_away()
    local left = 0
    waits = true
    for i = 1, #surveyed do
      local limit = surveyed[i]
      if limit.room < 1 then
        limit.since = limit.since or now
        -- Twice as long as a worker waits before it looks again.
        redis.call('HSET', limit.key .. ':waiting', queue,
          text(limit.since) .. ' ' .. text(now + math.max(2000, limit.left + 1000)))
        left = math.max(left, limit.left)
      end
    end
    return left
  end

  local function count(started, counted)
    for i = 1, #surveyed do
      local limit = surveyed[i]
      limit.free = limit.free - started
      if limit.max and counted > 0
          and redis.call('INCRBY', limit.key .. ':used', counted) == counted then
        redis.call('PEXPIRE', limit.key .. ':used', limit.duration)
      end
    end
  end

  local function settle(want)
    if want > 0 and not waits then
      for key in string.gmatch(lines, '[^\n]+') do
        redis.call('HDEL', key .. ':waiting', queue)
      end
    end
    if not surveyed then
      local keys = {}
      for key in string.gmatch(lines, '[^\n]+') do
        keys[#keys + 1] = key .. ':waiting'
      end
      if #keys == 0 or redis.call('EXISTS', unpack(keys)) == 0 then
        return
      end
      surveyed = survey_limits(queue, lines, now)
    end
    for i = 1, #surveyed do
      local limit = surveyed[i]
      if want > 0 and not waits then
        limit.since = nil
      end
      if limit.free > 0 and (limit.since or limit.others[1]) then
        local first = next_in_turn(limit, queue)
        if first then
          -- It comes within half a second, or the one behind it is next.
          redis.call('HSET', limit.key .. ':waiting', first.queue,
            text(first.since) .. ' ' .. text(math.min(first.till, now + 500)))
          redis.pcall('ZADD', 'qc:' .. first.queue .. ':marker', 0, '0')
        elseif limit.since and want == 0 then
          redis.pcall('ZADD', 'qc:' .. root .. 'marker', 0, '0')
        end
      end
    end
  end

  return { cut = cut, turn_away = turn_away, count = count, settle = settle }
end

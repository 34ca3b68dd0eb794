-- What each named limit of a queue leaves free now, and which other queues wait for it, the first at
-- first. `kept` is the queue's own list of limits; limits that allow anything are left out.
local function survey_limits(queue, kept, now)
  local limits = {}
  for key in string.gmatch(kept, '[^\n]+') do
    local row = redis.call('HMGET', key, 'concurrency', 'rate', 'declared-concurrency', 'declared-rate')
    local most = tonumber(row[1] or row[3])
    local max, duration = string.match(row[2] or row[4] or '', '^(%d+),(%d+)$')
    max = tonumber(max)
    if most or max then
      local free, left, others, since = math.huge, 0, {}, nil
      if most then
        local queues = redis.call('SMEMBERS', key .. ':queues')
        free = most
        for i = 1, #queues do
          free = free - redis.call('LLEN', queues[i] .. ':active')
        end
      end
      if max then
        local used = tonumber(redis.call('GET', key .. ':used')) or 0
        if used >= max then
          left = math.max(redis.call('PTTL', key .. ':used'), 0)
          if left == 0 then
            redis.call('DEL', key .. ':used') -- without a time it would hold for ever
            used = 0
          end
        end
        free = math.min(free, left > 0 and 0 or max - used)
      end
      local waiting = redis.call('HGETALL', key .. ':waiting')
      for i = 1, #waiting, 2 do
        local at, till = string.match(waiting[i + 1], '^(%d+) (%d+)$')
        at, till = tonumber(at), tonumber(till)
        if not till or till < now then
          redis.call('HDEL', key .. ':waiting', waiting[i])
        elseif waiting[i] == queue then
          since = at
        else
          others[#others + 1] = { queue = waiting[i], since = at, till = till }
        end
      end
      table.sort(others, function(a, b)
        return a.since < b.since or (a.since == b.since and a.queue < b.queue)
      end)
      limits[#limits + 1] = { key = key, free = free, left = left, others = others, since = since,
        max = max, duration = duration, room = free }
    end
  end
  return limits
end

--- @include "includes/text"
-- Count `n` finished jobs in BullMQ's per-minute list of `key`, which keeps `max` minutes.
-- The rows of a minute are written by the first finish of a later one.
local function collect_metrics(key, n, max, now)
  local count = redis.call('HINCRBY', key, 'count', n) - n
  local row = redis.call('HMGET', key, 'prevTS', 'prevCount')
  if not row[1] then
    redis.call('HSET', key, 'prevTS', now, 'prevCount', 0)
    return
  end
  local minutes = math.floor(tonumber(now) / 60000) - math.floor(tonumber(row[1]) / 60000)
  minutes = math.min(minutes, max)
  if minutes <= 0 then
    return
  end
  local rows = { text(count - (tonumber(row[2]) or 0)) }
  for i = 2, minutes do
    rows[i] = '0'
  end
  for first = 1, #rows, 4000 do
    redis.call('LPUSH', key .. ':data', unpack(rows, first, math.min(first + 3999, #rows)))
  end
  redis.call('LTRIM', key .. ':data', 0, max - 1)
  redis.call('HSET', key, 'prevCount', text(count), 'prevTS', now)
end

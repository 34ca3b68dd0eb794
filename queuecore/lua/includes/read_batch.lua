-- The next `batch` ids of a list or sorted set in the order in which they run, without the first
-- `skip` of them.
local function read_batch(key, kind, batch, skip)
  if kind == 'zset' then
    return redis.call('ZRANGE', key, skip, skip + batch - 1)
  end
  local tail = redis.call('LRANGE', key, -(skip + batch), -(skip + 1))
  local ids = {}
  for i = #tail, 1, -1 do
    ids[#ids + 1] = tail[i]
  end
  return ids
end

-- Move the list `source` behind the end of `target` from which workers take, in its order. A list
-- is never renamed over another. At most `batch` ids a call, unless a rename does: returns 1 if ids
-- are left, else 0.
local function merge_list(source, target, batch)
  if redis.call('EXISTS', source) == 0 then
    return 0
  end
  if redis.call('EXISTS', target) == 0 then
    redis.call('RENAME', source, target)
    return 0
  end
  local ids = redis.call('LRANGE', source, 0, batch - 1)
  redis.call('RPUSH', target, unpack(ids))
  redis.call('LTRIM', source, #ids, -1)
  return redis.call('EXISTS', source)
end

-- Let a queue ("<prefix>:<queue>") belong to a named limit no more; the limit goes with its last one.
local function leave_limit(key, queue, known)
  redis.call('SREM', key .. ':queues', queue)
  redis.call('HDEL', key .. ':waiting', queue)
  if redis.call('EXISTS', key .. ':queues') == 0 then
    redis.call('DEL', key, key .. ':used', key .. ':waiting')
    redis.call('SREM', known, string.match(key, '::limit:(.*)$'))
  end
end

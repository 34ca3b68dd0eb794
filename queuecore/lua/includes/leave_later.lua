-- Take jobs out of those of a group that are due later, and note when its next one is; how many stood
-- there.
local function leave_later(base, group, ids)
  local own = 'qc:' .. base
  local later = own .. 'group-later:' .. group
  local gone = #ids > 0 and redis.call('ZREM', later, unpack(ids)) or 0
  local first = redis.call('ZRANGE', later, 0, 0, 'WITHSCORES')
  if first[2] then
    redis.call('ZADD', own .. 'group-delayed', first[2], group)
  else
    redis.call('ZREM', own .. 'group-delayed', group)
  end
  return gone
end

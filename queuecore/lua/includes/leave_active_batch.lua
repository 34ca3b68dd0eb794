-- Take jobs out of `active`; gives the set of those that were there.
--
-- The jobs of one batch mostly stand together at its tail, where the oldest claims are: one look at
-- the tail and one cut serve them all. What is not found there is searched for, one by one.
local function leave_active_batch(active, ids)
  local left = {}
  if #ids == 1 then
    left[ids[1]] = redis.call('LREM', active, -1, ids[1]) > 0
    return left
  elseif #ids == 0 then
    return left
  end
  local leaving = {}
  for i = 1, #ids do
    leaving[ids[i]] = true
  end
  local window = redis.call('LRANGE', active, -2 * #ids, -1)
  local staying, first = {}, nil
  for i = 1, #window do
    local id = window[i]
    if leaving[id] and not left[id] then
      left[id] = true
      first = first or i
    elseif first then
      staying[#staying + 1] = id
    end
  end
  if first then
    redis.call('LTRIM', active, 0, first - #window - 2)
    if #staying > 0 then
      redis.call('RPUSH', active, unpack(staying))
    end
  end
  for i = 1, #ids do
    if not left[ids[i]] then
      left[ids[i]] = redis.call('LREM', active, -1, ids[i]) > 0
    end
  end
  return left
end

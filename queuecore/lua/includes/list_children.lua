-- The keys of a job's children, each with whether it is finished: {{key, finished}, ...}.
local function list_children(job)
  local children = {}
  -- Most jobs have none: one question instead of four.
  if redis.call('EXISTS', job .. ':processed', job .. ':failed', job .. ':unsuccessful',
      job .. ':dependencies') == 0 then
    return children
  end
  local function add(keys, finished)
    for i = 1, #keys do
      children[#children + 1] = { keys[i], finished }
    end
  end
  add(redis.call('HKEYS', job .. ':processed'), true)
  add(redis.call('HKEYS', job .. ':failed'), true)
  add(redis.call('ZRANGE', job .. ':unsuccessful', 0, -1), true)
  add(redis.call('SMEMBERS', job .. ':dependencies'), false)
  return children
end

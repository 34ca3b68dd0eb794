-- A finished child is to run again: its parent, if it still exists and had noted the end, waits for
-- it once more. `state` is the one that the child leaves. The parent itself does not move.
local function relink_child(job, parent_key, state)
  if redis.call('EXISTS', parent_key) == 0 then
    return
  end
  local noted
  if state == 'failed' then
    noted = redis.call('ZREM', parent_key .. ':unsuccessful', job) == 1
      or redis.call('HDEL', parent_key .. ':failed', job) == 1
  else
    noted = redis.call('HDEL', parent_key .. ':processed', job) == 1
  end
  if noted then
    redis.call('SADD', parent_key .. ':dependencies', job)
  end
end

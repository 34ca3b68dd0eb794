--- @include "includes/get_target"
--- @include "includes/add_marker"
--- @include "includes/delete_job"
--- @include "includes/locate_job"
-- Take a job that goes away out of its parent's `dependencies`. A parent that waited for nothing
-- else is put to run at once, whatever its priority or delay; with `hard` (its whole queue is being
-- emptied) a parent of the same queue goes away too. `base` is the queue of the child.
-- Returns whether the parent knew the child.
local function unlink_child(base, job, parent_key, parent, hard)
  if redis.call('EXISTS', parent_key) == 0
      or redis.call('SREM', parent_key .. ':dependencies', job) == 0 then
    return false
  end
  local parent_base, parent_id = locate_job(parent_key, parent)
  if not parent_base or redis.call('SCARD', parent_key .. ':dependencies') > 0
      or redis.call('ZREM', parent_base .. 'waiting-children', parent_id) == 0 then
    return true
  end
  if hard and parent_base == base then
    local row = redis.call('HMGET', parent_key, 'parentKey', 'parent')
    if row[1] then
      unlink_child(base, parent_key, row[1], row[2], hard)
    end
    delete_job(parent_key)
    return true
  end
  local target, blocked = get_target(parent_base)
  redis.call('RPUSH', target, parent_id)
  add_marker(parent_base, blocked)
  if not hard then
    redis.call('XADD', parent_base .. 'events', '*',
      'event', 'waiting', 'jobId', parent_id, 'prev', 'waiting-children')
  end
  return true
end

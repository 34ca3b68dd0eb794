--- @include "includes/locate_job"
--- @include "includes/release_if_waiting"
--- @include "includes/release_parent"
-- Tell a parent that a child completed (kind c, `value` its result) or failed for good (kind f,
-- `value` the reason). What a failure means stands in the child's `parent` field: fpof fails the
-- parent, cpof lets it run at once, idof and rdof go on without the child (idof keeps the reason).
-- Without a flag the child stays among the dependencies, and the parent waits until it is retried
-- or removed.
local function finish_parent(job, parent_key, parent, kind, value, now)
  local base, id, told = locate_job(parent_key, parent)
  local stays = kind == 'f' and not (told.fpof or told.cpof or told.idof or told.rdof)
  if not base or stays or redis.call('SREM', parent_key .. ':dependencies', job) == 0 then
    return
  end
  if kind == 'f' and told.fpof then
    redis.call('ZADD', parent_key .. ':unsuccessful', now, job)
    local found = redis.call('ZREM', base .. 'waiting-children', id) == 1
    if not found and redis.call('ZREM', base .. 'delayed', id) == 1 then
      found = true
      redis.call('HSET', parent_key, 'delay', '0')
    end
    if redis.call('EXISTS', parent_key) == 1
        and (found or not redis.call('ZSCORE', base .. 'failed', id)) then
      redis.call('HSET', parent_key, 'defa', 'child ' .. job .. ' failed')
      if found then
        release_parent(base, id, now) -- whoever claims it fails it, and so on upwards
      end
    end
    return
  end
  if kind == 'c' then
    redis.call('HSET', parent_key .. ':processed', job, value)
  elseif told.cpof or told.idof then
    redis.call('HSET', parent_key .. ':failed', job, value)
  end
  if (kind == 'f' and told.cpof) or redis.call('SCARD', parent_key .. ':dependencies') == 0 then
    release_if_waiting(base, id, now)
  end
end

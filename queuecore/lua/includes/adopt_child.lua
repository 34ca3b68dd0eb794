--- @include "includes/locate_job"
--- @include "includes/release_if_waiting"
-- Make a job that exists the child of `parent_key`, which waits for it, or has its result at once if it
-- has completed. Then the parent may have nothing left to wait for: returns its {base, id}, so that the
-- caller can look (release_if_waiting) when all its children are there.
local function adopt_child(base, id, parent_key, parent)
  local job, done = base .. id, nil
  if redis.call('ZSCORE', base .. 'completed', id) then
    redis.call('HSET', parent_key .. ':processed', job, redis.call('HGET', job, 'returnvalue') or 'null')
    local parent_base, parent_id = locate_job(parent_key, parent)
    done = { parent_base, parent_id }
  else
    redis.call('SADD', parent_key .. ':dependencies', job)
  end
  redis.call('HSET', job, 'parentKey', parent_key, 'parent', parent)
  return done
end

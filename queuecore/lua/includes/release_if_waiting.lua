--- @include "includes/release_parent"
-- Release a parent if it exists and waits for its children.
local function release_if_waiting(base, id, now)
  if redis.call('EXISTS', base .. id) == 1
      and redis.call('ZREM', base .. 'waiting-children', id) == 1 then
    release_parent(base, id, now)
  end
end

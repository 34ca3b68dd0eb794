--- @include "includes/forget_grouped"
-- Take a job out of the one set or list it stands in; returns that one's name, or "unknown".
local function take_out(base, id)
  local sets = { 'completed', 'waiting-children', 'delayed', 'failed', 'prioritized' }
  for i = 1, #sets do
    if redis.call('ZREM', base .. sets[i], id) == 1 then
      if sets[i] == 'waiting-children' then
        forget_grouped(base, id)
      end
      return sets[i]
    end
  end
  local lists = { 'wait', 'paused', 'active' }
  for i = 1, #lists do
    if redis.call('LREM', base .. lists[i], 0, id) > 0 then
      if lists[i] == 'active' then
        redis.call('SREM', base .. 'stalled', id)
        forget_grouped(base, id)
      end
      return lists[i]
    end
  end
  return 'unknown'
end

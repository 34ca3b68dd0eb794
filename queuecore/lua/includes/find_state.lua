--- @include "includes/count_of"
-- The state of a job and its score there, in BullMQ's order. A list is searched only up to `deep`
-- ids; in a longer `wait` a job that is in no other state is taken for waiting.
local function find_state(base, id, deep)
  local sets = {'completed', 'failed', 'delayed', 'prioritized', 'waiting-children'}
  for i = 1, #sets do
    local score = redis.pcall('ZSCORE', base .. sets[i], id)
    if type(score) == 'string' then
      return sets[i], score
    end
  end
  if count_of('LLEN', base .. 'active') <= 10000 then
    if type(redis.pcall('LPOS', base .. 'active', id)) == 'number' then
      return 'active', ''
    end
  elseif redis.call('EXISTS', base .. id .. ':lock') == 1 then
    return 'active', ''
  end
  local lists = {'wait', 'paused'}
  for i = 1, #lists do
    if count_of('LLEN', base .. lists[i]) > deep
      or type(redis.pcall('LPOS', base .. lists[i], id)) == 'number' then
      return 'waiting', ''
    end
  end
  return 'unknown', ''
end

--- @include "includes/count_of"
-- The state of a job, its score there, and whether that is certain; in BullMQ's order. A list is
-- searched only up to `deep` ids: where `wait` is longer, a job that is nowhere else is taken for
-- waiting.
local function find_state(base, id, deep)
  local sets = {'completed', 'failed', 'delayed', 'prioritized', 'waiting-children'}
  for i = 1, #sets do
    local score = redis.pcall('ZSCORE', base .. sets[i], id)
    if type(score) == 'string' then
      return sets[i], score, true
    end
  end
  if count_of('LLEN', base .. 'active') <= 10000 then
    if type(redis.pcall('LPOS', base .. 'active', id)) == 'number' then
      return 'active', '', true
    end
  elseif redis.call('EXISTS', base .. id .. ':lock') == 1 then
    return 'active', '', true
  end
  local lists = {'wait', 'paused'}
  for i = 1, #lists do
    if count_of('LLEN', base .. lists[i]) > deep then
      return 'waiting', '', false
    elseif type(redis.pcall('LPOS', base .. lists[i], id)) == 'number' then
      return 'waiting', '', true
    end
  end
  return 'unknown', '', false
end

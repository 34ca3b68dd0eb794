--- @include "includes/wake_limited"
-- A job of this queue runs no more: wake the queue that is next in each of its named limits.
local function wake_siblings(base)
  for key in string.gmatch(redis.call('GET', 'qc:' .. base .. 'limits') or '', '[^\n]+') do
    wake_limited(key, false)
  end
end

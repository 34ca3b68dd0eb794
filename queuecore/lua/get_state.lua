-- Say in which state a job is.
--
-- KEYS: completed, failed, delayed, prioritized, waiting-children, active, wait, paused
-- ARGV: id
-- Returns: the state, "unknown" if the job stands nowhere
-- Errors: none
-- Follows: BullMQ getState
local names = { 'completed', 'failed', 'delayed', 'prioritized', 'waiting-children' }
for i = 1, 5 do
  if redis.call('ZSCORE', KEYS[i], ARGV[1]) then
    return names[i]
  end
end
names = { 'active', 'waiting', 'waiting' }
for i = 1, 3 do
  if redis.call('LPOS', KEYS[5 + i], ARGV[1]) then
    return names[i]
  end
end
return 'unknown'

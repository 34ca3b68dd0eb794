-- Read the last jobs of one name that have finished, from the newest of the queue.
--
-- KEYS: completed, failed
-- ARGV: base, name, most (jobs told), look (jobs of each state that are looked at)
-- Returns: {number of jobs looked at, then state (1 completed, 2 failed), id, time of the finish,
--   time of the last start, attempts of each, the newest first}
-- Errors: none
-- Follows: BullMQ getJobs, and HMGET of each job
local base, name = ARGV[1], ARGV[2]
local most, look = tonumber(ARGV[3]), tonumber(ARGV[4])
local lists, at = {}, {1, 1}
for i = 1, 2 do
  local found = redis.pcall('ZREVRANGE', KEYS[i], 0, look - 1, 'WITHSCORES')
  lists[i] = found.err and {} or found
end
local answer = {0}
while most > 0 do
  local times = {tonumber(lists[1][at[1] + 1] or ''), tonumber(lists[2][at[2] + 1] or '')}
  if not times[1] and not times[2] then
    break
  end
  local state = (times[1] or -1) >= (times[2] or -1) and 1 or 2
  local id, finished = lists[state][at[state]], lists[state][at[state] + 1]
  at[state] = at[state] + 2
  answer[1] = answer[1] + 1
  -- A name as long as ours is read; a huge one is not.
  if redis.pcall('HSTRLEN', base .. id, 'name') == #name then
    local values = redis.call('HMGET', base .. id, 'name', 'processedOn', 'atm')
    if values[1] == name then
      for _, value in ipairs({state, id, finished, values[2] or '', values[3] or ''}) do
        answer[#answer + 1] = value
      end
      most = most - 1
    end
  end
end
return answer

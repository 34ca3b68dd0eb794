-- Leave a job that stands in several states, or twice in one list, in one place alone.
--
-- KEYS: wait, paused, active, completed, failed, delayed, prioritized, waiting-children, stalled
-- ARGV: base, dry ("1": write nothing), longest, ids...
-- Returns: {the state that stays, id, ...} for each id that stood twice; -1 where the lists hold
--   more than `longest`: to walk them would take long
-- Errors: none
-- Follows: no BullMQ operation
--
-- What stays: where a worker holds it; else where it ended, if its fields say that it did; else where
-- it waits for children that are there; else where it runs soonest.
--- @include "includes/count_of"
local rcall = redis.call
local base, dry = ARGV[1], ARGV[2] == '1'
local names = { 'wait', 'paused', 'active', 'completed', 'failed', 'delayed', 'prioritized',
  'waiting-children' }
local length = 0
for i = 1, 3 do
  length = length + count_of('LLEN', KEYS[i])
end
if length > tonumber(ARGV[3]) then
  return -1
end

local function places(id)
  local at, number = {}, 0
  for i = 1, 3 do
    local found = #rcall('LPOS', KEYS[i], id, 'COUNT', 0)
    if found > 0 then
      at[names[i]] = found
      number = number + found
    end
  end
  for i = 4, 8 do
    local score = rcall('ZSCORE', KEYS[i], id)
    if score then
      at[names[i]] = score
      number = number + 1
    end
  end
  return at, number
end

local function right_one(id, at)
  local job = base .. id
  if at.active and rcall('EXISTS', job .. ':lock') == 1 then
    return 'active'
  end
  local ended = rcall('HGET', job, 'finishedOn')
  if ended then
    for _, name in ipairs({ 'completed', 'failed' }) do
      if at[name] and tonumber(at[name]) == tonumber(ended) then
        return name
      end
    end
  end
  if at['waiting-children'] and count_of('SCARD', job .. ':dependencies') > 0 then
    return 'waiting-children'
  end
  for _, name in ipairs({ 'prioritized', 'wait', 'paused', 'delayed', 'waiting-children', 'active',
    'completed', 'failed' }) do
    if at[name] then
      return name
    end
  end
end

local answer = {}
for i = 4, #ARGV do
  local id = ARGV[i]
  local at, number = places(id)
  if number > 1 then
    local right = right_one(id, at)
    if not dry then
      for j = 1, 8 do
        local name = names[j]
        if at[name] and j <= 3 then
          local extra = at[name] - (name == right and 1 or 0)
          if extra > 0 then
            rcall('LREM', KEYS[j], extra, id)
          end
        elseif at[name] and name ~= right then
          rcall('ZREM', KEYS[j], id)
        end
      end
      if right ~= 'active' then
        rcall('SREM', KEYS[9], id)
      end
    end
    answer[#answer + 1] = right
    answer[#answer + 1] = id
  end
end
return answer

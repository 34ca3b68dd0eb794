-- Look at what may be keys of jobs: which of them stand in no sorted set.
--
-- KEYS: completed, failed, delayed, prioritized, waiting-children
-- ARGV: base, ids...
-- Returns: {kind, id, kind, id, ...}
-- Errors: none
-- Follows: no BullMQ operation
--
-- The kinds: `orphan` is a job, `parts` are keys of a job that is gone, `lock` is a lock without
-- one. Whoever asks knows the ids of the lists: to look for one there is dear.
--- @include "includes/is_job"
local rcall = redis.call
local answer = {}
local function found(what, id)
  answer[#answer + 1] = what
  answer[#answer + 1] = id
end

local ids = { unpack(ARGV, 2) }
local stands = {}
for i = 1, 5 do
  local scores = redis.pcall('ZMSCORE', KEYS[i], unpack(ids))
  for j = 1, scores.err and 0 or #ids do
    stands[j] = stands[j] or scores[j]
  end
end

for i = 1, #ids do
  local id = ids[i]
  local job = ARGV[1] .. id
  if not stands[i] then
    if is_job(job) then
      found('orphan', id)
    elseif rcall('EXISTS', job) == 0 then
      if rcall('EXISTS', job .. ':lock') == 1 and not is_job(job .. ':lock') then
        found('lock', id)
      else
        for _, part in ipairs({ 'logs', 'dependencies', 'processed', 'failed', 'unsuccessful' }) do
          local key = job .. ':' .. part
          if rcall('EXISTS', key) == 1 and not is_job(key) then
            found('parts', id)
            break
          end
        end
      end
    end
  end
end
return answer

-- Delete the keys of jobs that stand in no list and no set.
--
-- KEYS: wait, paused, active, completed, failed, delayed, prioritized, waiting-children
-- ARGV: base, ids...
-- Returns: the ids deleted
-- Errors: none
-- Follows: BullMQ removeOrphanedJobs
--
-- A job that a worker holds is none of them, and a hash without a timestamp is no job.
--- @include "includes/is_job"
local rcall = redis.call

local function stands(id)
  for i = 4, 8 do
    if rcall('ZSCORE', KEYS[i], id) then
      return true
    end
  end
  for i = 1, 3 do
    if rcall('LPOS', KEYS[i], id) then
      return true
    end
  end
  return false
end

-- A job's id may look like another's part (`a:b:logs`): that one is no part.
local function delete(job)
  local deleted = rcall('DEL', job)
  for _, part in ipairs({ 'logs', 'dependencies', 'processed', 'failed', 'unsuccessful' }) do
    local key = job .. ':' .. part
    if not is_job(key) then
      deleted = deleted + rcall('DEL', key)
    end
  end
  return deleted
end

local removed = {}
for i = 2, #ARGV do
  local job = ARGV[1] .. ARGV[i]
  if (is_job(job) or rcall('EXISTS', job) == 0) and rcall('EXISTS', job .. ':lock') == 0
      and not stands(ARGV[i]) and delete(job) > 0 then
    removed[#removed + 1] = ARGV[i]
  end
end
return removed

-- Delete the keys of jobs that stand in no list and no set.
--
-- KEYS: wait, paused, active, completed, failed, delayed, prioritized, waiting-children
-- ARGV: base, ids...
-- Returns: the ids deleted
-- Errors: none
-- Follows: BullMQ removeOrphanedJobs
--
-- A job that a worker holds is none of them, and a hash without a timestamp is no job.
--- @include "includes/delete_job"
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

local removed = {}
for i = 2, #ARGV do
  local job = ARGV[1] .. ARGV[i]
  local kind = rcall('TYPE', job).ok
  local a_job = kind == 'none' or (kind == 'hash' and rcall('HEXISTS', job, 'timestamp') == 1)
  if a_job and rcall('EXISTS', job .. ':lock') == 0 and not stands(ARGV[i])
      and delete_job(job) > 0 then
    removed[#removed + 1] = ARGV[i]
  end
end
return removed

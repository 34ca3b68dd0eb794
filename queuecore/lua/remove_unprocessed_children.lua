-- Delete the children that a job still waits for, and theirs; not those that run or have failed.
--
-- KEYS: job
-- ARGV: base, id
-- Returns: how many children were deleted, or a code
-- Errors: -1 no such job
-- Follows: BullMQ removeUnprocessedChildren
--- @include "includes/is_job"
--- @include "includes/locate_child"
--- @include "includes/remove_family"
local rcall = redis.call
local seen = { [ARGV[1] .. ARGV[2]] = true }
local function unprocessed(job)
  local keys, found = rcall('SMEMBERS', job .. ':dependencies'), {}
  for i = 1, #keys do
    local base, id = locate_child(keys[i])
    if base and not seen[keys[i]] and rcall('EXISTS', keys[i] .. ':lock') == 0
        and not rcall('ZSCORE', base .. 'failed', id) then
      seen[keys[i]] = true
      found[#found + 1] = { base, id }
    end
  end
  return found
end

if not is_job(KEYS[1]) then
  return -1
end
local children, removed = unprocessed(KEYS[1]), 0
for i = 1, #children do
  if remove_family(children[i][1], children[i][2], unprocessed) then
    removed = removed + 1
  end
end
return removed

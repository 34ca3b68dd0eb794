-- Delete a job wherever it stands, and its children if asked to.
--
-- KEYS: meta
-- ARGV: base, id, children ("1" or "0")
-- Returns: 1, 0 if a worker holds it or an unfinished child, 2 if there was nothing to delete, or a
--   code
-- Errors: -8 the next run of a scheduler
-- Follows: BullMQ removeJob
--- @include "includes/is_job"
--- @include "includes/is_pending_run"
--- @include "includes/list_children"
--- @include "includes/locate_child"
--- @include "includes/remove_family"
local rcall = redis.call
local root, with_children = ARGV[1], ARGV[3] == '1'

-- The children of each job that goes; nothing is written before all are known, and nothing at all if
-- one of them is being worked at.
local below = {}
local function collect(job, finished)
  if not finished and rcall('EXISTS', job .. ':lock') == 1 then
    return false
  end
  below[job] = {}
  if with_children then
    local children = list_children(job)
    for i = 1, #children do
      local key = children[i][1]
      local base, id = locate_child(key)
      if base and not below[key] then
        below[job][#below[job] + 1] = { base, id }
        if not collect(key, children[i][2]) then
          return false
        end
      end
    end
  end
  return true
end

if is_job(root .. ARGV[2])
    and is_pending_run(root, ARGV[2], rcall('HGET', root .. ARGV[2], 'rjk')) then
  return -8
end
if not collect(root .. ARGV[2], false) then
  return 0
end
local removed = remove_family(root, ARGV[2], function(job)
  return below[job] or {}
end)
return removed and 1 or 2

-- Delete a job wherever it stands, and its children if asked to.
--
-- KEYS: meta
-- ARGV: base, id, children ("1" or "0")
-- Returns: 1, 0 if a worker holds it or an unfinished child, 2 if there was nothing to delete, or a
--   code
-- Errors: -8 the next run of a scheduler
-- Follows: BullMQ removeJob
--- @include "includes/gather_family"
--- @include "includes/is_job"
--- @include "includes/is_pending_run"
--- @include "includes/remove_family"
local rcall = redis.call
local root = ARGV[1]
if is_job(root .. ARGV[2])
    and is_pending_run(root, ARGV[2], rcall('HGET', root .. ARGV[2], 'rjk')) then
  return -8
end
-- Nothing is written before all are known, and nothing at all if one of them is being worked at.
local below = gather_family(root .. ARGV[2], ARGV[3] == '1')
if not below then
  return 0
end
local removed = remove_family(root, ARGV[2], function(job)
  return below[job] or {}
end)
return removed and 1 or 2

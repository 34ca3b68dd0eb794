-- Delete a job wherever it stands, and its children if asked to.
--
-- KEYS: meta
-- ARGV: base, id, children ("1" or "0")
-- Returns: 1, 0 if a worker holds it or an unfinished child, 2 if there was nothing to delete, or a
--   code
-- Errors: -8 the next run of a scheduler
-- Follows: BullMQ removeJob
--- @include "includes/delete_job"
--- @include "includes/drop_deduplication"
--- @include "includes/get_target"
--- @include "includes/is_job"
--- @include "includes/is_pending_run"
--- @include "includes/list_children"
--- @include "includes/locate_job"
--- @include "includes/take_out"
--- @include "includes/unlink_child"
local rcall = redis.call
local root, with_children = ARGV[1], ARGV[3] == '1'

-- The job and, if asked for, all below it, parents first; nothing if one of them is being worked at.
local found, seen = {}, {}
local function collect(base, id, finished)
  local job = base .. id
  if seen[job] then
    return true
  end
  seen[job] = true
  if not finished and rcall('EXISTS', job .. ':lock') == 1 then
    return false
  end
  found[#found + 1] = { base, id }
  if with_children then
    local children = list_children(job)
    for i = 1, #children do
      local child_base, child_id = locate_job(children[i][1])
      if child_base and not collect(child_base, child_id, children[i][2]) then
        return false
      end
    end
  end
  return true
end

if is_job(root .. ARGV[2])
    and is_pending_run(root, ARGV[2], rcall('HGET', root .. ARGV[2], 'rjk')) then
  return -8
end
if not collect(root, ARGV[2], false) then
  return 0
end

local removed = 2
for i = 1, #found do
  local base, id = found[i][1], found[i][2]
  local job = base .. id
  local gone = false
  if is_job(job) then
    local row = rcall('HMGET', job, 'parentKey', 'parent', 'deid')
    if row[1] then
      unlink_child(base, job, row[1], row[2], false)
    end
    if row[3] then
      drop_deduplication(base, id, row[3])
    end
    gone = true
  end
  local prev = take_out(base, id)
  if gone or rcall('EXISTS', job) == 0 then
    delete_job(job)
  end
  if gone or prev ~= 'unknown' then
    local _, _, _, meta = get_target(base)
    rcall('XADD', base .. 'events', 'MAXLEN', '~', meta[6] or '10000', '*',
      'event', 'removed', 'jobId', id, 'prev', prev)
    removed = 1
  end
end
return removed

--- @include "includes/delete_job"
--- @include "includes/drop_deduplication"
--- @include "includes/get_target"
--- @include "includes/is_job"
--- @include "includes/take_out"
--- @include "includes/unlink_child"
-- Delete a job and what stands below it, as BullMQ does: its parent is told first, then its children
-- go, then itself. `children(job)` gives the {base, id} of those that go with it; `left` is the state that
-- it was taken out of already, if it was. Returns whether anything was deleted.
local function remove_family(base, id, children, left)
  local job, known = base .. id, is_job(base .. id)
  local row = known and redis.call('HMGET', job, 'parentKey', 'parent', 'deid') or {}
  if row[1] then
    unlink_child(base, job, row[1], row[2], false)
  end
  local below, removed = children(job), false
  for i = 1, #below do
    removed = remove_family(below[i][1], below[i][2], children) or removed
  end
  local prev = left or take_out(base, id)
  if row[3] then
    drop_deduplication(base, id, row[3])
  end
  if known or redis.call('EXISTS', job) == 0 then
    delete_job(job)
  end
  if not known and prev == 'unknown' then
    return removed
  end
  local _, _, _, meta = get_target(base)
  redis.call('XADD', base .. 'events', 'MAXLEN', '~', meta[6] or '10000', '*',
    'event', 'removed', 'jobId', id, 'prev', prev)
  return true
end

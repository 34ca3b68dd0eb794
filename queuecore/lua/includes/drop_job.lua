--- @include "includes/delete_job"
--- @include "includes/drop_deduplication"
--- @include "includes/unlink_child"
-- Delete a job that stands in no set any more: its parent waits for it no longer (see unlink_child
-- for `hard`), and with `dedup` the deduplication id that it owns is free again.
local function drop_job(base, id, hard, dedup)
  local job = base .. id
  local row = redis.call('HMGET', job, 'parentKey', 'parent', 'deid')
  if row[1] then
    unlink_child(base, job, row[1], row[2], hard)
  end
  if dedup and row[3] then
    drop_deduplication(base, id, row[3])
  end
  return delete_job(job)
end

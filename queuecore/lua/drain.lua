-- Delete waiting jobs of one list or set, but for the next runs of schedulers.
--
-- KEYS: source (wait, paused, prioritized or delayed)
-- ARGV: base, kind ("list" or "zset"), batch, kept
-- Returns: {seen, kept}: how many this batch looked at, and how many of them stand
-- Errors: none
-- Follows: BullMQ drain
--
-- `kept` is how many jobs earlier batches let stand at the end from which this one goes on.
--- @include "includes/drop_job"
--- @include "includes/is_pending_run"
--- @include "includes/read_batch"
local rcall = redis.call
local base = ARGV[1]
local ids = read_batch(KEYS[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]))
local kept = 0
for i = 1, #ids do
  local id = ids[i]
  if is_pending_run(base, id, rcall('HGET', base .. id, 'rjk')) then
    kept = kept + 1
  else
    if ARGV[2] == 'list' then
      rcall('LREM', KEYS[1], -1, id)
    else
      rcall('ZREM', KEYS[1], id)
    end
    drop_job(base, id, true, true)
  end
end
return { #ids, kept }

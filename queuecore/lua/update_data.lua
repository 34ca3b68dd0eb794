-- Replace the payload of a job, on demand only if it is still the one that was read.
--
-- KEYS: job
-- ARGV: data, digest (SHA-1 in hex of the payload as it was read; empty: whatever it is)
-- Returns: 0, or a code
-- Errors: -1 no such job, -11 it has another payload now
-- Follows: BullMQ updateData
--- @include "includes/is_job"
if not is_job(KEYS[1]) then
  return -1
end
if ARGV[2] ~= '' then
  -- What is there already may be the answer to this very call, sent again.
  local now = redis.call('HGET', KEYS[1], 'data') or ''
  if now ~= ARGV[1] and redis.sha1hex(now) ~= ARGV[2] then
    return -11
  end
end
redis.call('HSET', KEYS[1], 'data', ARGV[1])
return 0

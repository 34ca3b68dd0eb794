-- Let a parent no longer wait for a child, which goes on by itself.
--
-- KEYS: job, parent
-- ARGV: base
-- Returns: 0, 1 if the parent did not wait for it, or a code
-- Errors: -1 no such job, -5 no such parent
-- Follows: BullMQ removeChildDependency
--- @include "includes/is_job"
--- @include "includes/unlink_child"
if not is_job(KEYS[1]) then
  return -1
end
if not is_job(KEYS[2]) then
  return -5
end
local parent = redis.call('HGET', KEYS[1], 'parent')
if not unlink_child(ARGV[1], KEYS[1], KEYS[2], parent, false) then
  return 1
end
redis.call('HDEL', KEYS[1], 'parentKey', 'parent')
return 0

-- Free a deduplication id, if the job `id` owns it.
--
-- KEYS: owner
-- ARGV: id
-- Returns: 1 if it did, else 0
-- Errors: none
-- Follows: BullMQ removeDeduplicationKey
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0

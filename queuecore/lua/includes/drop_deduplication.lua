-- Free a deduplication id, and forget the job that was to follow, if the job `id` owns it.
local function drop_deduplication(base, id, dedup_id)
  local key = base .. 'de:' .. dedup_id
  if redis.pcall('GET', key) == id then
    redis.call('DEL', key, base .. 'dn:' .. dedup_id)
  end
end

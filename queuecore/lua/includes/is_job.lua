-- Whether a key is a job's hash: an id such as `wait` or `meta` names another key of its queue, which
-- must never be changed or deleted in its place.
local function is_job(key)
  return redis.pcall('HEXISTS', key, 'timestamp') == 1
end

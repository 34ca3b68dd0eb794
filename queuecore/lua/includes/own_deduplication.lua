--- @include "includes/text"
-- Make the job `id` the owner of a deduplication id, for as long as its rule says. With
-- keepLastIfActive it is always until the job is finished.
local function own_deduplication(key, id, rule)
  local ttl = tonumber(rule.ttl) or 0
  if ttl > 0 and not rule.keepLastIfActive then
    redis.call('SET', key, id, 'PX', text(ttl))
  else
    redis.call('SET', key, id)
  end
end

--- @include "includes/text"
--- @include "includes/drop_job"
-- Remove finished jobs that a rule "count,age,limit" (each may be empty; a bare number is a count)
-- does not keep: the too old ones, newest first and at most `limit` of them, then all beyond the
-- newest `count`. Deduplication keys stay, and no event is written.
local function evict_jobs(base, set, rule, now)
  local count, age, limit = string.match(rule, '^(%d*),?(%d*),?(%d*)$')
  if age and age ~= '' then
    local oldest = text(tonumber(now) - tonumber(age) * 1000)
    local old = redis.call('ZREVRANGEBYSCORE', set, oldest, 0, 'LIMIT', 0,
      limit ~= '' and limit or 1000)
    for i = 1, #old do
      drop_job(base, old[i], false, false)
    end
    for first = 1, #old, 4000 do
      redis.call('ZREM', set, unpack(old, first, math.min(first + 3999, #old)))
    end
  end
  if count and count ~= '' and tonumber(count) > 0 then
    local surplus = redis.call('ZREVRANGE', set, count, -1)
    for i = 1, #surplus do
      drop_job(base, surplus[i], false, false)
    end
    if #surplus > 0 then
      redis.call('ZREMRANGEBYRANK', set, 0, -(tonumber(count) + 1))
    end
  end
end

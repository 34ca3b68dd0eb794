--- @include "includes/text"
--- @include "includes/drop_job"
-- Remove finished jobs that a rule "count,age,limit" (each may be empty; a bare number is a count)
-- does not keep: the too old ones, newest first and at most `limit` of them, then all beyond the
-- newest `count`, oldest first. At most `room` go in one call, which keeps it short: the next ones
-- go on. Deduplication keys stay, and no event is written.
local function evict_jobs(base, set, rule, now, room)
  local count, age, limit = string.match(rule, '^(%d*),?(%d*),?(%d*)$')
  if age and age ~= '' then
    local oldest = text(tonumber(now) - tonumber(age) * 1000)
    local old = redis.call('ZREVRANGEBYSCORE', set, oldest, 0, 'LIMIT', 0,
      math.min(room, tonumber(limit) or room))
    for i = 1, #old do
      drop_job(base, old[i], false, false)
    end
    if #old > 0 then
      redis.call('ZREM', set, unpack(old))
    end
    room = room - #old
  end
  if count and count ~= '' and tonumber(count) > 0 then
    local surplus = math.min(redis.call('ZCARD', set) - tonumber(count), room)
    if surplus > 0 then
      local old = redis.call('ZRANGE', set, 0, surplus - 1)
      for i = 1, #old do
        drop_job(base, old[i], false, false)
      end
      redis.call('ZREMRANGEBYRANK', set, 0, surplus - 1)
    end
  end
end

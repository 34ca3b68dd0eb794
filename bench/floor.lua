-- The floor: finish plain jobs and claim the next ones on BullMQ's keys, and nothing else.
--
-- KEYS: wait, active, completed, stalled, delayed, events, meta, marker
-- ARGV: base, token, now, lock_duration, claim, ids...
-- Returns: {id, {field, value, ...}, ...}
--
-- What a worker needs besides (parents, deduplication, retention, failures, limits, pauses, due
-- jobs, metrics, receipts) is left out or only looked at: how much that costs is the question.
local rcall = redis.call
local wait, active, events = KEYS[1], KEYS[2], KEYS[6]
local base, token, now, want, done = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[5]), #ARGV - 5

if done > 0 then
  local ids = { unpack(ARGV, 6) }
  local locks, children, members = {}, {}, {}
  for i = 1, done do
    local job = base .. ids[i]
    locks[i] = job .. ':lock'
    children[2 * i - 1], children[2 * i] = job .. ':dependencies', job .. ':unsuccessful'
    members[2 * i - 1], members[2 * i] = now, ids[i]
  end
  local held = rcall('MGET', unpack(locks))
  rcall('EXISTS', unpack(children))
  rcall('DEL', unpack(locks))
  rcall('SREM', KEYS[4], unpack(ids))
  for i = 1, done do
    local job = base .. ids[i]
    local row = rcall('HMGET', job, 'timestamp', 'parentKey', 'deid')
    if held[i] ~= token or not row[1] or rcall('LREM', active, -1, ids[i]) == 0 then
      return redis.error_reply('job ' .. ids[i] .. ' is not ours')
    end
    rcall('HSET', job, 'returnvalue', 'null', 'finishedOn', now, 'atm', 1)
    rcall('XADD', events, '*', 'event', 'completed', 'jobId', ids[i], 'returnvalue', 'null',
      'prev', 'active')
  end
  rcall('ZADD', KEYS[3], unpack(members))
  rcall('XTRIM', events, 'MAXLEN', '~', 10000)
end

local jobs = {}
if want > 0 then
  rcall('HMGET', KEYS[7], 'paused', 'concurrency', 'max', 'duration')
  rcall('ZRANGEBYSCORE', KEYS[5], 0, (tonumber(now) + 1) * 4096 - 1, 'LIMIT', 0, 1000)
  local ids = rcall('LRANGE', wait, -want, -1)
  if #ids > 0 then
    rcall('LTRIM', wait, 0, -#ids - 1)
    local started = {}
    for i = #ids, 1, -1 do
      local id = ids[i]
      local job = base .. id
      started[#started + 1] = id
      rcall('SET', job .. ':lock', token, 'PX', ARGV[4])
      rcall('XADD', events, '*', 'event', 'active', 'jobId', id, 'prev', 'waiting')
      jobs[#jobs + 1] = id
      jobs[#jobs + 1] = rcall('HGETALL', job)
      rcall('HSET', job, 'processedOn', now, 'ats', 1)
    end
    rcall('LPUSH', active, unpack(started))
    rcall('ZADD', KEYS[8], 0, '0')
  end
end
return jobs

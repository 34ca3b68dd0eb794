-- Read what is known of one queue at one moment.
--
-- KEYS: wait, paused, prioritized, active, delayed, waiting-children, completed, failed, meta, limiter,
--   metrics:completed, metrics:failed, events, pause
-- ARGV: base, since, until (ms; the window in which finished jobs are counted, empty: none),
--   event (last id of the window before), most_events
-- Returns: {8 sizes in the order of KEYS, paused, concurrency, max, duration, version, limiter, its ms,
--   oldest timestamp, first score of delayed, completed and failed by the metrics, last event's id,
--   completed and failed within the window, {since, reason, by, until} of a pause of ours, groups in
--   which jobs wait (of those that are not paused)}
-- Errors: none
-- Follows: BullMQ getCounts, getMetrics, getRateLimitTtl
--
-- Jobs that finished within the window are counted by the metrics' difference elsewhere; here for
-- queues without metrics: by the scores of those that were kept, or by the events.
--- @include "includes/count_of"
--- @include "includes/read_fields"
local answer = {}
for i = 1, 2 do
  answer[i] = count_of('LLEN', KEYS[i])
end
answer[3] = count_of('ZCARD', KEYS[3])
answer[4] = count_of('LLEN', KEYS[4])
for i = 5, 8 do
  answer[i] = count_of('ZCARD', KEYS[i])
end

local meta = read_fields(KEYS[9], {'paused', 'concurrency', 'max', 'duration', 'version'}, 200) or {}
for i = 1, 5 do
  answer[i + 8] = meta[i] or false
end
local limit = redis.pcall('GETRANGE', KEYS[10], 0, 19)
answer[14] = type(limit) == 'string' and limit ~= '' and limit
answer[15] = answer[14] and redis.call('PTTL', KEYS[10]) or -2

-- The tail runs next; jobs that were put before it are younger, except at the head of a list whose
-- tail was filled by `lifo`.
local oldest = false
local function look(id)
  if type(id) == 'string' then
    local found = read_fields(ARGV[1] .. id, {'timestamp'}, 20)
    local at = found and tonumber(found[1] or '')
    if at and (not oldest or at < oldest) then
      oldest = at
    end
  end
end
for i = 1, 2 do
  if answer[i] > 0 then
    look(redis.call('LINDEX', KEYS[i], -1))
    look(redis.call('LINDEX', KEYS[i], 0))
  end
end
if answer[3] > 0 then
  look(redis.call('ZRANGE', KEYS[3], 0, 0)[1])
end
local own, groups = 'qc:' .. ARGV[1], 0
if redis.call('EXISTS', own .. 'grouped') == 1 then
  groups = count_of('ZCARD', own .. 'groups') + count_of('ZCARD', own .. 'groups-limited')
    + count_of('SCARD', own .. 'groups-maxed')
  -- Of all groups the next in turn alone is looked at: what waits there waits at least so long.
  local next_group = redis.pcall('ZRANGE', own .. 'groups', 0, 0)
  if not next_group.err and next_group[1] then
    local first = redis.pcall('ZRANGE', own .. 'group:' .. next_group[1], 0, 0)
    look(not first.err and first[1])
  end
end
answer[16] = oldest and string.format('%.0f', oldest)
answer[17] = answer[5] > 0 and redis.call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')[2]

for i = 11, 12 do
  local found = read_fields(KEYS[i], {'count'}, 20)
  answer[i + 7] = found and found[1] or false
end
local last = redis.pcall('XREVRANGE', KEYS[13], '+', '-', 'COUNT', 1)
answer[20] = not last.err and (last[1] and last[1][1] or '0-0')

answer[21], answer[22] = 0, 0
if ARGV[2] ~= '' and not (answer[18] and answer[19]) then
  for i = 7, 8 do
    answer[i + 14] = count_of('ZCOUNT', KEYS[i], '(' .. ARGV[2], ARGV[3])
  end
  if ARGV[4] ~= '' and answer[20] and ARGV[4] ~= answer[20] then
    -- Jobs that are removed when they finish leave no other trace.
    local most = tonumber(ARGV[5])
    local events = redis.pcall('XRANGE', KEYS[13], '(' .. ARGV[4], '+', 'COUNT', most)
    local seen = {completed = 0, failed = 0}
    for i = 1, #events do
      local fields = events[i][2]
      for j = 1, #fields, 2 do
        if fields[j] == 'event' and seen[fields[j + 1]] then
          seen[fields[j + 1]] = seen[fields[j + 1]] + 1
        end
      end
    end
    local share = 1
    if #events == most then
      -- Only a part was read: as many a second in the rest.
      local first = tonumber(string.match(ARGV[4], '^%d+'))
      local reached = tonumber(string.match(events[most][1], '^%d+'))
      local all = tonumber(string.match(answer[20], '^%d+'))
      share = math.max(all - first, 1) / math.max(reached - first, 1)
    end
    answer[21] = math.max(answer[21], math.floor(seen.completed * share + 0.5))
    answer[22] = math.max(answer[22], math.floor(seen.failed * share + 0.5))
  end
end
-- Beside a queue that is not paused it would speak of a pause that somebody else has ended.
answer[23] = meta[1] and read_fields(KEYS[14], {'since', 'reason', 'by', 'until'}, 2000) or false
answer[24] = groups
return answer

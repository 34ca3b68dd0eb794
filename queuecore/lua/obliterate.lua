-- Delete a paused queue with everything in it, a batch of jobs a call.
--
-- KEYS: meta, active, delayed, repeat, completed, wait, paused, prioritized, failed, waiting-children
-- ARGV: base, batch, force ("1" or "0")
-- Returns: 0, 1 if more is left: call again, or a code
-- Errors: -1 not paused, -2 jobs are active
-- Follows: BullMQ obliterate
--
-- BullMQ leaves `waiting-children`, the rate limit and the deduplication ids behind; here they go.
--- @include "includes/drop_job"
local rcall = redis.call
local base, left = ARGV[1], tonumber(ARGV[2])
if not rcall('HGET', KEYS[1], 'paused') then
  return -1
end
if ARGV[3] ~= '1' and rcall('LLEN', KEYS[2]) > 0 then
  return -2
end

local function empty(key)
  if left <= 0 then
    return
  end
  local list = rcall('TYPE', key).ok == 'list'
  local ids
  if list then
    ids = rcall('LRANGE', key, -left, -1)
    rcall('LTRIM', key, 0, -(left + 1))
  else
    ids = rcall('ZRANGE', key, 0, left - 1)
    rcall('ZREMRANGEBYRANK', key, 0, left - 1)
  end
  for i = 1, #ids do
    if key == KEYS[2] then
      rcall('DEL', base .. ids[i] .. ':lock')
    elseif key == KEYS[4] then
      rcall('DEL', base .. 'repeat:' .. ids[i])
    end
    if key ~= KEYS[4] then
      drop_job(base, ids[i], true, true)
    end
  end
  left = left - #ids
end
for i = 2, 10 do
  empty(KEYS[i])
end
if left <= 0 then
  return 1
end
rcall('DEL', KEYS[1], base .. 'events', base .. 'delay', base .. 'stalled-check', base .. 'stalled',
  base .. 'id', base .. 'pc', base .. 'marker', base .. 'limiter', base .. 'priority',
  base .. 'metrics:completed', base .. 'metrics:completed:data',
  base .. 'metrics:failed', base .. 'metrics:failed:data')
return 0

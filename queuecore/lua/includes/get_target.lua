-- Where waiting jobs go now, and whether workers may be woken for them.
--
-- Pausing leaves jobs in `wait` (BullMQ 6), unless the queue is in BullMQ 5's hands: its version
-- says so, or a `paused` list exists. Then they go to `paused`, as 5 would do, because a resume by
-- 5 renames that list over `wait` and so destroys what stands there.
-- Returns the list's key, blocked (paused or at global concurrency), paused, and the row
-- {paused, concurrency, max, duration, version, opts.maxLenEvents} of meta.
local function get_target(base)
  local row = redis.call('HMGET', base .. 'meta',
    'paused', 'concurrency', 'max', 'duration', 'version', 'opts.maxLenEvents')
  if row[1] then
    local five = row[5] and string.sub(row[5], 1, 8) == 'bullmq:5'
    if five or redis.call('EXISTS', base .. 'paused') == 1 then
      return base .. 'paused', true, true, row
    end
    return base .. 'wait', true, true, row
  end
  local most = tonumber(row[2])
  local blocked = most and redis.call('LLEN', base .. 'active') >= most
  return base .. 'wait', blocked, false, row
end

--- @include "includes/text"
--- @include "includes/get_target"
--- @include "includes/get_max_events"
--- @include "includes/add_marker"
-- Add what is left of a job that failed for good to the queue at `dead`, where it waits as any job.
-- Its queue is named with the prefix, as BullMQ names the queue of a parent.
local function add_dead_letter(dead, base, id, reason, attempts, now)
  local rcall = redis.call
  local job = rcall('HMGET', base .. id, 'name', 'data')
  local name, data = job[1] or '', job[2] or 'null'
  if not pcall(cjson.decode, data) then
    data = cjson.encode(data) -- no JSON, or too deep to be looked at: as the text that it is
  end
  local letter = '{"queue":' .. cjson.encode(string.sub(base, 1, -2)) .. ',"id":' .. cjson.encode(id)
    .. ',"name":' .. cjson.encode(name) .. ',"data":' .. data
    .. ',"failedReason":' .. cjson.encode(reason)
    .. ',"attemptsMade":' .. text(tonumber(attempts) or 0) .. ',"finishedOn":' .. now .. '}'
  local target, blocked, _, meta = get_target(dead)
  local max_events = get_max_events(dead, meta, 'queuecore:1')
  local own = text(rcall('INCR', dead .. 'id'))
  rcall('HSET', dead .. own, 'name', name, 'data', letter, 'opts', '{"attempts":0}',
    'timestamp', now, 'delay', '0', 'priority', '0')
  rcall('XADD', dead .. 'events', '*', 'event', 'added', 'jobId', own, 'name', name)
  rcall('LPUSH', target, own)
  rcall('XADD', dead .. 'events', 'MAXLEN', '~', max_events, '*',
    'event', 'waiting', 'jobId', own)
  add_marker(dead, blocked)
end

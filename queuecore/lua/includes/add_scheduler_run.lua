--- @include "includes/text"
--- @include "includes/add_delay_marker"
--- @include "includes/add_delayed"
--- @include "includes/add_marker"
--- @include "includes/add_prioritized"
-- Store a scheduler's run that is due at `due` (ms), and let it wait. `opts` is its options as JSON up
-- to the last brace: only here is it known when the run is due, and so its delay and its id.
-- Returns its id and its delay.
local function add_scheduler_run(base, scheduler, due, now, target, blocked, max_events, run)
  local events = base .. 'events'
  local id = 'repeat:' .. scheduler .. ':' .. text(due)
  local delay = math.max(due - now, 0)
  local opts = run.opts .. ',"delay":' .. text(delay) .. ',"jobId":' .. run.quoted .. text(due) .. '"}'
  local fields = { 'name', run.name, 'data', run.data, 'opts', opts, 'timestamp', text(now),
    'delay', text(delay), 'priority', text(run.priority), 'rjk', scheduler }
  if run.dedup ~= '' then
    fields[#fields + 1] = 'deid'
    fields[#fields + 1] = run.dedup
  end
  redis.call('HSET', base .. id, unpack(fields))
  redis.call('XADD', events, '*', 'event', 'added', 'jobId', id, 'name', run.name)
  if delay > 0 then
    add_delayed(base, id, due)
    redis.call('XADD', events, 'MAXLEN', '~', max_events, '*',
      'event', 'delayed', 'jobId', id, 'delay', text(due))
    add_delay_marker(base)
  else
    if run.priority > 0 then
      add_prioritized(base, id, run.priority)
    else
      redis.call(run.lifo and 'RPUSH' or 'LPUSH', target, id)
    end
    add_marker(base, blocked)
    redis.call('XADD', events, 'MAXLEN', '~', max_events, '*', 'event', 'waiting', 'jobId', id)
  end
  return id, delay
end

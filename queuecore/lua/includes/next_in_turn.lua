-- The first of the other queues that wait for a limit, if it comes before `queue`; those that have
-- nothing to run any more, or are paused, lose their turn.
local function next_in_turn(limit, queue)
  while limit.others[1] do
    local first = limit.others[1]
    if limit.since and (limit.since < first.since
        or (limit.since == first.since and queue < first.queue)) then
      return nil
    end
    local base = first.queue .. ':'
    if redis.call('EXISTS', base .. 'wait', base .. 'prioritized', 'qc:' .. base .. 'groups') > 0
        and redis.call('HEXISTS', base .. 'meta', 'paused') == 0 then
      return first
    end
    redis.call('HDEL', limit.key .. ':waiting', first.queue)
    table.remove(limit.others, 1)
  end
end

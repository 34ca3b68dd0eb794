-- Wake our workers of the queues that wait for a named limit: of the first in turn, or of all.
local function wake_limited(key, all)
  local waiting = redis.call('HGETALL', key .. ':waiting')
  local first, since
  for i = 1, #waiting, 2 do
    local at = tonumber(string.match(waiting[i + 1], '^%d+')) or 0
    if all then
      redis.pcall('ZADD', 'qc:' .. waiting[i] .. ':marker', 0, '0')
    elseif not since or at < since then
      first, since = waiting[i], at
    end
  end
  if first then
    redis.pcall('ZADD', 'qc:' .. first .. ':marker', 0, '0')
  end
end

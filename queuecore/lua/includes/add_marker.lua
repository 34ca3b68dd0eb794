-- Tell idle workers that something may be ready, unless none of them may take it.
local function add_marker(base, blocked)
  if not blocked then
    redis.call('ZADD', base .. 'marker', 0, '0')
  end
end

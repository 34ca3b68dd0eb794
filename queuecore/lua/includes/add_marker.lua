-- Tell idle workers that something may be ready, unless none of them may take it. A hint: that its key
-- is of a wrong type must not end a script half-way.
local function add_marker(base, blocked)
  if not blocked then
    redis.pcall('ZADD', base .. 'marker', 0, '0')
  end
end

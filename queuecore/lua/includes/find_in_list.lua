-- The places of some ids in a list, by id; only those near `left`, where they were met a moment ago, and
-- at most `most` places towards the tail.
local function find_in_list(key, left, most, ids)
  local wanted, places = {}, {}
  for i = 1, #ids do
    wanted[ids[i]] = true
  end
  local from = math.max(left - most, 0)
  local there = redis.call('LRANGE', key, from, left + 2 * most)
  for i = 1, #there do
    if wanted[there[i]] then
      places[there[i]] = from + i - 1
    end
  end
  return places
end

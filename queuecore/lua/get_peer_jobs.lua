-- Find jobs that workers of other libraries hold: active, under a lock that is none of ours.
--
-- KEYS: active
-- ARGV: base, look (at so many, those that run longest), most
-- Returns: how many there are among those, then {id, name, processedOn, pb, holder} for each, the one that
--   runs longest first; at most `most`
-- Errors: none
-- Follows: nothing of BullMQ
--
-- A lock of ours is 32 hex digits, a colon and a number; Node's is the worker's UUID, a colon and a number.
-- holder: what stands before the colon.
--- @include "includes/read_fields"
local found, count = {}, 0
if redis.call('TYPE', KEYS[1]).ok ~= 'list' then
  return { 0 }
end
local ids = redis.call('LRANGE', KEYS[1], -tonumber(ARGV[2]), -1)
for i = #ids, 1, -1 do
  -- An id that others made up may be of any length.
  local token = #ids[i] <= 1000 and redis.pcall('GET', ARGV[1] .. ids[i] .. ':lock')
  if type(token) == 'string' and #token <= 200 then
    local holder = string.match(token, '^(.*):%d+$') or token
    if not (#holder == 32 and #token > 32 and string.match(holder, '^%x+$')) then
      count = count + 1
      if #found < tonumber(ARGV[3]) then
        local values = read_fields(ARGV[1] .. ids[i], { 'name', 'processedOn', 'pb' }, 1200)
        if values then
          found[#found + 1] = { ids[i], values[1], values[2], values[3], holder }
        end
      end
    end
  end
end
table.insert(found, 1, count)
return found

-- Find jobs that are active without a lock: their worker has died, or let them go.
--
-- KEYS: active
-- ARGV: base, look (at so many, those that run longest), most
-- Returns: {id, name, processedOn, pb, stc} for each, the one that runs longest first; at most `most`
-- Errors: none
-- Follows: nothing of BullMQ; moveStalledJobsToWait recovers them
--- @include "includes/read_fields"
local found = {}
if redis.call('TYPE', KEYS[1]).ok ~= 'list' then
  return found
end
local ids = redis.call('LRANGE', KEYS[1], -tonumber(ARGV[2]), -1)
for i = #ids, 1, -1 do
  if #found >= tonumber(ARGV[3]) then
    break
  end
  -- An id that others made up may be of any length; a lock of any type is one.
  if #ids[i] <= 1000 and redis.call('EXISTS', ARGV[1] .. ids[i] .. ':lock') == 0 then
    local values = read_fields(ARGV[1] .. ids[i], {'name', 'processedOn', 'pb', 'stc'}, 1200)
    if values then
      found[#found + 1] = {ids[i], values[1], values[2], values[3], values[4]}
    end
  end
end
return found

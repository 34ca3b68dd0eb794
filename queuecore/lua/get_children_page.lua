-- Read how many children a job has, and the keys of some of them.
--
-- KEYS: unsuccessful, failed, dependencies, processed
-- ARGV: kind (1 to 4, as the keys), cursor, skip (children of that step that are known), count
-- Returns: {four counts, kind, cursor, skip to go on from (kind 5 is the end), then kind and key of
--   each child}; a little more or less than count in one step of the server's scans
-- Errors: none
-- Follows: BullMQ getDependencies and getDependenciesCount
--- @include "includes/count_of"
local kind, cursor, skip = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local count = tonumber(ARGV[4])
local counting = {'ZCARD', 'HLEN', 'SCARD', 'HLEN'}
local answer = {}
for i = 1, 4 do
  answer[i] = count_of(counting[i], KEYS[i])
end
answer[5], answer[6], answer[7] = 5, '0', 0

-- One step through the children of a kind: the next cursor, '0' at the end, and their keys.
local function step()
  if answer[kind] == 0 then
    return '0', {}
  end
  if kind == 1 then
    local found = redis.call('ZRANGE', KEYS[1], cursor, cursor + count - 1)
    return #found == count and string.format('%d', cursor + count) or '0', found
  end
  local scanned = redis.call(kind == 3 and 'SSCAN' or 'HSCAN', KEYS[kind], cursor, 'COUNT', count)
  if kind == 3 then
    return scanned[1], scanned[2]
  end
  local found = {}
  for i = 1, #scanned[2], 2 do
    found[#found + 1] = scanned[2][i]
  end
  return scanned[1], found
end

local left = count
for _ = 1, 50 do
  if kind > 4 then
    return answer
  end
  local after, found = step()
  for i = skip + 1, #found do
    if left == 0 then
      answer[5], answer[6], answer[7] = kind, cursor, i - 1
      return answer
    end
    answer[#answer + 1] = kind
    answer[#answer + 1] = found[i]
    left = left - 1
  end
  skip, cursor = 0, after
  if after == '0' then
    kind = kind + 1
  end
end
answer[5], answer[6], answer[7] = kind, cursor, skip
return answer

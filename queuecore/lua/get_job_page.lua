-- Read one page of the jobs of one state, ids and rows at the same moment.
--
-- KEYS: jobs, more (the second list of waiting jobs)
-- ARGV: base, state, kind (`list` from its tail, `rising` or `falling` scores), offset, limit
-- Returns: {number of jobs, rows...}; a row as in includes/read_row
-- Errors: none
-- Follows: BullMQ getRanges, and HGETALL of each job
--- @include "includes/count_of"
--- @include "includes/read_row"
local base, state, kind = ARGV[1], ARGV[2], ARGV[3]
local offset, limit = tonumber(ARGV[4]), tonumber(ARGV[5])
local answer = {0}

local function add(id, score)
  answer[#answer + 1] = read_row(base, id, state, score, true)
end

if kind == 'list' then
  for i = 1, #KEYS do
    local length = count_of('LLEN', KEYS[i])
    -- What is left of the page lies this far from the tail of this list.
    local from = math.max(offset - answer[1], 0)
    local room = limit - (#answer - 1)
    answer[1] = answer[1] + length
    if room > 0 and from < length then
      local ids = redis.call('LRANGE', KEYS[i], -(from + room), -(from + 1))
      for j = #ids, 1, -1 do
        add(ids[j], '')
      end
    end
  end
else
  answer[1] = count_of('ZCARD', KEYS[1])
  if answer[1] > 0 then
    local range = kind == 'rising' and 'ZRANGE' or 'ZREVRANGE'
    local found = redis.call(range, KEYS[1], offset, offset + limit - 1, 'WITHSCORES')
    for i = 1, #found, 2 do
      add(found[i], found[i + 1])
    end
  end
end
return answer

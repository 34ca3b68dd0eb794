-- Read what a list shows of some groups.
--
-- KEYS: group-running, group-concurrency, group-rate
-- ARGV: base, groups...
-- Returns: {waiting, delayed, running, concurrency, "max,duration", used, ms that it counts, score of the
--   next that is due later, until when it is limited} of each
-- Errors: none
-- Follows: BullMQ Pro getGroups
--- @include "includes/count_of"
local rcall = redis.call
local own = 'qc:' .. ARGV[1]
local answer = {}
for i = 2, #ARGV do
  local group = ARGV[i]
  local counter = own .. 'group-limiter:' .. group
  answer[i - 1] = {
    count_of('ZCARD', own .. 'group:' .. group),
    count_of('ZCARD', own .. 'group-later:' .. group),
    rcall('HGET', KEYS[1], group),
    rcall('HGET', KEYS[2], group),
    rcall('HGET', KEYS[3], group),
    rcall('GET', counter),
    rcall('PTTL', counter),
    rcall('ZSCORE', own .. 'group-delayed', group),
    rcall('ZSCORE', own .. 'groups-limited', group),
  }
end
return answer

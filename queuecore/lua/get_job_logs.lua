-- Read some lines of a job's log, long ones cut.
--
-- KEYS: logs
-- ARGV: start, stop (indices, the last one included), line_cut, most (bytes of all lines)
-- Returns: {number of lines, lines...}; fewer than asked where `most` is reached
-- Errors: none
-- Follows: BullMQ getJobLogs
--- @include "includes/count_of"
local cut, room = tonumber(ARGV[3]), tonumber(ARGV[4])
local answer = {count_of('LLEN', KEYS[1])}
if answer[1] > 0 then
  local lines = redis.call('LRANGE', KEYS[1], ARGV[1], ARGV[2])
  for i = 1, #lines do
    local line = string.sub(lines[i], 1, cut)
    room = room - #line
    if room < 0 then
      break
    end
    answer[#answer + 1] = line
  end
end
return answer

-- Read what a list shows of some jobs, wherever they are now.
--
-- KEYS: completed, failed, delayed, prioritized, waiting-children, active, wait, paused
-- ARGV: base, deep (see includes/find_state), ids...
-- Returns: a row a job, as in includes/read_row
-- Errors: none
-- Follows: BullMQ getState, and HGETALL of each job
--- @include "includes/find_state"
--- @include "includes/read_row"
local answer = {}
for i = 3, #ARGV do
  answer[i - 2] = read_row(ARGV[1], ARGV[i], find_state(ARGV[1], ARGV[i], tonumber(ARGV[2])))
end
return answer

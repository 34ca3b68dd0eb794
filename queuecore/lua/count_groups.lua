-- Count the jobs of some groups.
--
-- KEYS: none
-- ARGV: base, place (`group`: they wait, `group-later`: they are due later), groups...
-- Returns: a number for each
-- Errors: none
-- Follows: BullMQ Pro getGroupJobsCount
--- @include "includes/count_of"
local answer = {}
for i = 3, #ARGV do
  answer[i - 2] = count_of('ZCARD', 'qc:' .. ARGV[1] .. ARGV[2] .. ':' .. ARGV[i])
end
return answer

-- Count the jobs of some groups.
--
-- KEYS: none
-- ARGV: base, place (`group`: they wait, `group-later`: they are due later), groups...
-- Returns: a number for each
-- Errors: none
-- Follows: BullMQ Pro getGroupJobsCount
local pcall = redis.pcall
local prefix = 'qc:' .. ARGV[1] .. ARGV[2] .. ':'
local answer = {}
for i = 3, #ARGV do
  local count = pcall('ZCARD', prefix .. ARGV[i])
  answer[i - 2] = type(count) == 'number' and count or 0
end
return answer

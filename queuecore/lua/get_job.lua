-- Read everything that is stored about one job, long values cut.
--
-- KEYS: job, lock, logs
-- ARGV: base, id, most (longest value that is read at all), cut (of values), field_cut (of raw fields)
-- Returns: {row as in includes/read_row, lock's ms or -2, log lines, the values and lengths of data,
--   returnvalue, opts, failedReason, stacktrace, then name, length and value of each field};
--   nothing if there is no such job
-- Errors: none
-- Follows: BullMQ getJob and getState
--- @include "includes/find_state"
--- @include "includes/read_row"
local most, cut, field_cut = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local row = read_row(ARGV[1], ARGV[2], find_state(ARGV[1], ARGV[2], 100000))
if #row == 1 then
  return
end
local answer = {row, redis.call('PTTL', KEYS[2]), count_of('LLEN', KEYS[3])}

local function add(value, length, limit)
  answer[#answer + 1] = value and string.sub(value, 1, limit)
  answer[#answer + 1] = length
end

local big = {'data', 'returnvalue', 'opts', 'failedReason', 'stacktrace'}
local values, lengths = read_fields(KEYS[1], big, most)
for i = 1, #big do
  add(values[i], lengths[i], cut)
end
local names = {}
-- A job has some twenty fields; in a hash of thousands only the known ones are read.
if redis.call('HLEN', KEYS[1]) <= 64 then
  names = redis.call('HKEYS', KEYS[1])
end
values, lengths = read_fields(KEYS[1], names, most)
for i = 1, #names do
  answer[#answer + 1] = string.sub(names[i], 1, field_cut)
  answer[#answer + 1] = lengths[i]
  answer[#answer + 1] = string.sub(values[i] or '', 1, field_cut)
end
return answer

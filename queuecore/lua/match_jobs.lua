-- Look at the next jobs of one state, and say which of them fit.
--
-- KEYS: jobs
-- ARGV: base, state, kind (`list` from its tail, `rising` or `falling` scores), low, high (scores,
--   both included), at (where the last look ended: a score, or how many jobs of a list were left; empty
--   is the beginning), mark (the id with that score, or of a list the one to look at next), slice (look
--   at so many), most (find so many), only (look at this id alone, if given), conditions...
-- Returns: {jobs in all, jobs passed, jobs looked at now, 1 if more are left else 0, at, mark, id, ...}
-- Errors: none
-- Follows: nothing of BullMQ; nothing is written
--
-- A condition is three arguments: field, test (`=` equal, `^` begins with, `$` ends with, `~` holds,
-- whatever the case, `<` and `>` at most and at least), value. Orphans fit where nothing is asked of
-- their hash.
--
-- A place among scores is a score and an id, so that jobs which come and go shift nothing. A list is
-- shifted by each job that is added at one end and taken from the other: the next one is looked for by
-- its id. If it is gone, those behind it are, too (workers take them in this order), and all that is
-- left is looked at; so no job is passed over, though some may be met twice.
--- @include "includes/count_of"
--- @include "includes/find_state"
--- @include "includes/read_fields"
local base, state, kind = ARGV[1], ARGV[2], ARGV[3]
local slice, most, only = tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10]

local names, place = {}, {}
for i = 11, #ARGV, 3 do
  local field = ARGV[i]
  if field ~= 'id' and not place[field] then
    names[#names + 1] = field
    place[field] = #names
  end
  if field == 'atm' and not place.attemptsMade then
    names[#names + 1] = 'attemptsMade'
    place.attemptsMade = #names
  end
end

local function holds(value, test, wanted)
  if test == '<' or test == '>' then
    local number = tonumber(value)
    if not number then
      return false
    end
    return test == '<' and number <= tonumber(wanted) or test == '>' and number >= tonumber(wanted)
  end
  if not value then
    return false
  elseif test == '=' then
    return value == wanted
  elseif test == '^' then
    return string.sub(value, 1, #wanted) == wanted
  elseif test == '$' then
    return #value >= #wanted and string.sub(value, #value - #wanted + 1) == wanted
  end
  return string.find(string.lower(value), wanted, 1, true) ~= nil
end

local function fits(id)
  local values
  if #names > 0 then
    values = read_fields(base .. id, names, 65536)
    if not values then
      return false
    end
  end
  for i = 11, #ARGV, 3 do
    local field, value = ARGV[i], id
    if field ~= 'id' then
      value = values[place[field]]
      if field == 'atm' then
        value = value or values[place.attemptsMade] or '0'
      elseif field == 'priority' then
        value = value or '0'
      end
    end
    if not holds(value, ARGV[i + 1], ARGV[i + 2]) then
      return false
    end
  end
  return true
end

local answer = { 0, 0, 0, 0, '', '' }

if only ~= '' then
  local found, score = find_state(base, only, 10000)
  if found == state then
    answer[1], answer[2], answer[3] = 1, 1, 1
    local number = tonumber(score)
    local inside = not number or number >= tonumber(ARGV[4]) and number <= tonumber(ARGV[5])
    if inside and fits(only) then
      answer[7] = only
    end
  end
  return answer
end

-- How many jobs of a list are left to look at: those from `next`, which stood at place `left`, on.
local function find_rest(length, left, next)
  if redis.call('LINDEX', KEYS[1], left - 1) == next then
    return left
  end
  local ids = redis.call('LRANGE', KEYS[1], left - 1, left + 20000)
  for i = 1, #ids do
    if ids[i] == next then
      return left - 1 + i
    end
  end
  return length
end

if kind == 'list' then
  local length = count_of('LLEN', KEYS[1])
  local left = length
  if ARGV[6] ~= '' and length > 0 then
    left = find_rest(length, math.max(tonumber(ARGV[6]), 1), ARGV[7])
  end
  local ids, before = {}, left
  if left > 0 then
    ids = redis.call('LRANGE', KEYS[1], math.max(left - slice - 1, 0), left - 1)
  end
  for i = #ids, math.max(#ids - slice + 1, 1), -1 do
    left = left - 1
    if fits(ids[i]) then
      answer[#answer + 1] = ids[i]
      if #answer - 6 == most then
        break
      end
    end
  end
  answer[1], answer[2], answer[3] = length, length - left, before - left
  answer[4], answer[5] = left > 0 and 1 or 0, string.format('%d', left)
  answer[6] = ids[#ids - (before - left)] or ''
  return answer
end

-- The server sorts equal scores by the bytes of the ids; Lua's own `<` would ask the locale.
local function less(one, other)
  for i = 1, math.min(#one, #other) do
    local a, b = string.byte(one, i), string.byte(other, i)
    if a ~= b then
      return a < b
    end
  end
  return #one < #other
end

-- How many jobs stand before that score and id, and whether the next one is the very same.
local function place_of(score, id)
  local low = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. score)
  local high = low + redis.call('ZCOUNT', KEYS[1], score, score)
  local last = high
  while low < high do
    local middle = math.floor((low + high) / 2)
    if less(redis.call('ZRANGE', KEYS[1], middle, middle)[1], id) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low, low < last and redis.call('ZRANGE', KEYS[1], low, low)[1] == id
end

if count_of('ZCARD', KEYS[1]) == 0 then
  return answer
end
-- The jobs between the scores stand at the places from `first` to before `beyond`.
local first = 0
if ARGV[4] ~= '-inf' then
  first = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[4])
end
local beyond = first + redis.call('ZCOUNT', KEYS[1], ARGV[4], ARGV[5])
local low, high = first, beyond
if ARGV[6] ~= '' then
  local before, there = place_of(ARGV[6], ARGV[7])
  if kind == 'rising' then
    low = math.min(math.max(low, before + (there and 1 or 0)), beyond)
  else
    high = math.max(math.min(high, before), first)
  end
end
local from, to = low, math.min(low + slice, high)
if kind == 'falling' then
  from, to = math.max(high - slice, low), high
end
local found = {}
if from < to then
  found = redis.call('ZRANGE', KEYS[1], from, to - 1, 'WITHSCORES')
end
local i, last, step = 1, #found - 1, 2
if kind == 'falling' then
  i, last, step = last, 1, -2
end
answer[5], answer[6] = ARGV[6], ARGV[7]
local looked = 0
for at = i, last, step do
  looked = looked + 1
  answer[5], answer[6] = found[at + 1], found[at]
  if fits(found[at]) then
    answer[#answer + 1] = found[at]
    if #answer - 6 == most then
      break
    end
  end
end
answer[1], answer[3] = beyond - first, looked
if kind == 'rising' then
  answer[2] = low + looked - first
  answer[4] = low + looked < high and 1 or 0
else
  answer[2] = beyond - high + looked
  answer[4] = high - looked > low and 1 or 0
end
return answer

-- Read the runs of a scheduler that are kept.
--
-- KEYS: completed, failed, active, hand
-- ARGV: base, scheduler, deep (see includes/find_state), depth, times...
-- Returns: {id, by hand (1 or 0), state, count, name, timestamp, processedOn, finishedOn, atm, ats, stc,
--   failedReason, pb} a run, in no order
-- Errors: none
-- Follows: BullMQ getJobs
--
-- times: when runs may have been due (ms): a run's id says so, and nothing has to be searched. depth: how
-- many of the last finished jobs are looked through for others, made by an earlier pattern or promoted.
-- hand: runs that somebody asked for, as <id>:<scheduler>. A reason is cut at 1,600 bytes.
--- @include "includes/find_state"
local base, scheduler, deep, depth = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local prefix = 'repeat:' .. scheduler .. ':'
local names = { 'name', 'timestamp', 'processedOn', 'finishedOn', 'atm', 'ats', 'stc', 'failedReason',
  'pb' }
local answer, seen = {}, {}

local function count_of_run(key)
  if redis.call('HSTRLEN', key, 'opts') > 65536 then
    return ''
  end
  local fine, opts = pcall(cjson.decode, redis.call('HGET', key, 'opts') or '')
  local said = fine and type(opts) == 'table' and opts['repeat']
  local count = type(said) == 'table' and tonumber(said.count)
  return count and string.format('%.0f', count) or ''
end

local function look(id, by_hand)
  if seen[id] then
    return
  end
  seen[id] = true
  local key = base .. id
  local values = redis.pcall('HMGET', key, unpack(names))
  if values.err or not values[2] then
    return
  end
  local row = { id, by_hand, (find_state(base, id, deep)), count_of_run(key) }
  for i = 1, #names do
    local value = values[i] or ''
    if #value > 1600 then
      value = string.sub(value, 1, 1600)
    end
    row[i + 4] = value
  end
  answer[#answer + 1] = row
end

local function search(ids)
  if ids.err then
    return
  end
  for i = 1, #ids do
    if string.sub(ids[i], 1, #prefix) == prefix then
      look(ids[i], 0)
    end
  end
end

for i = 5, #ARGV do
  look(prefix .. ARGV[i], 0)
end
local hand = redis.pcall('LRANGE', KEYS[4], 0, 199)
if not hand.err then
  for i = 1, #hand do
    local colon = string.find(hand[i], ':', 1, true)
    if colon and string.sub(hand[i], colon + 1) == scheduler then
      look(string.sub(hand[i], 1, colon - 1), 1)
    end
  end
end
if depth > 0 then
  search(redis.pcall('LRANGE', KEYS[3], 0, depth - 1))
  search(redis.pcall('ZREVRANGE', KEYS[1], 0, depth - 1))
  search(redis.pcall('ZREVRANGE', KEYS[2], 0, depth - 1))
end
return answer

-- Add what a worker has counted to the statistics of its queue.
--
-- KEYS: receipt, minute, quarter, hour, totals, errors, sightings
-- ARGV: number, now, names, errors_told, records... (a name: name, fields, and each field with what is
--   added to it; an error: id, count, first and last time, what it is)
-- Returns: 1, or 0 if this call, or a later one, was carried out before
-- Errors: none
-- Follows: nothing of BullMQ's
--
-- The receipt makes a repeat harmless. A hash keeps a name's fields as <field>:<name>; `n` is there
-- for each. `e:<id>` is how often an error came in that time. Names may be made by whoever adds jobs: where a hash has many, new ones are counted
-- together, under the empty name. A key of another type is left alone.
--- @include "includes/text"
local rcall = redis.call
local DAY = 24 * 3600 * 1000
local MOST_FIELDS, MOST_ERRORS, KEEP_ERRORS = 4000, 200, 7 * DAY
local function takes(key, kind)
  local found = rcall('TYPE', key).ok
  return found == 'none' or found == kind
end
if not takes(KEYS[1], 'string') then
  return 0
end
if (tonumber(rcall('GET', KEYS[1]) or 0) or 0) >= tonumber(ARGV[1]) then
  return 0
end
rcall('SET', KEYS[1], ARGV[1], 'PX', DAY)
local now = tonumber(ARGV[2])
local HOUR = 3600 * 1000
local kept = { 3 * HOUR, 25 * HOUR, 8 * DAY, 30 * DAY }
local books = {}
for i = 1, 4 do
  local key = KEYS[i + 1]
  if takes(key, 'hash') then
    books[#books + 1] = { key = key, size = rcall('HLEN', key), kept = kept[i], timed = i < 4 }
  end
end
local at = 5
for _ = 1, tonumber(ARGV[3]) do
  local name, fields = ARGV[at], tonumber(ARGV[at + 1])
  at = at + 2
  for b = 1, #books do
    local key, known = books[b].key, name
    if books[b].size > MOST_FIELDS and rcall('HEXISTS', key, 'n:' .. name) == 0 then
      known = ''
    end
    for i = at, at + 2 * fields - 2, 2 do
      redis.pcall('HINCRBY', key, ARGV[i] .. ':' .. known, ARGV[i + 1])
    end
  end
  at = at + 2 * fields
end
if tonumber(ARGV[4]) > 0 and takes(KEYS[6], 'hash') and takes(KEYS[7], 'zset') then
  for _ = 1, tonumber(ARGV[4]) do
    local id = ARGV[at]
    for b = 1, #books do
      if books[b].timed and books[b].size <= MOST_FIELDS / 2 then
        redis.pcall('HINCRBY', books[b].key, 'e:' .. id, ARGV[at + 1])
      end
    end
    redis.pcall('HINCRBY', KEYS[6], id .. ':count', ARGV[at + 1])
    rcall('HSETNX', KEYS[6], id .. ':first', ARGV[at + 2])
    rcall('HSET', KEYS[6], id .. ':what', ARGV[at + 4])
    rcall('ZADD', KEYS[7], 'GT', ARGV[at + 3], id)
    at = at + 5
  end
  local old = rcall('ZRANGEBYSCORE', KEYS[7], '-inf', text(now - KEEP_ERRORS), 'LIMIT', 0, MOST_ERRORS)
  local excess = rcall('ZCARD', KEYS[7]) - MOST_ERRORS
  if excess > #old then
    old = rcall('ZRANGE', KEYS[7], 0, excess - 1)
  end
  for i = 1, #old do
    rcall('HDEL', KEYS[6], old[i] .. ':count', old[i] .. ':first', old[i] .. ':what')
    rcall('ZREM', KEYS[7], old[i])
  end
  rcall('PEXPIRE', KEYS[6], text(KEEP_ERRORS))
  rcall('PEXPIRE', KEYS[7], text(KEEP_ERRORS))
end
for b = 1, #books do
  rcall('PEXPIRE', books[b].key, text(books[b].kept))
end
return 1

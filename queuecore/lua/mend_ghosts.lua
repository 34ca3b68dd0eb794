-- Take ids out of a list or sorted set whose jobs are gone.
--
-- KEYS: source, stalled
-- ARGV: base, kind ("list" or "zset"), longest, ids...
-- Returns: the ids taken out; -1 where a list is longer than `longest`: to walk it would take long
-- Errors: none
-- Follows: no BullMQ operation
--
-- One that is locked stays: its worker is about to end it.
--- @include "includes/count_of"
local rcall = redis.call
if ARGV[2] == 'list' and count_of('LLEN', KEYS[1]) > tonumber(ARGV[3]) then
  return -1
end
local mended = {}
for i = 4, #ARGV do
  local id = ARGV[i]
  local job = ARGV[1] .. id
  if rcall('EXISTS', job) == 0 and rcall('EXISTS', job .. ':lock') == 0 then
    local gone
    if ARGV[2] == 'list' then
      gone = rcall('LREM', KEYS[1], 0, id)
    else
      gone = rcall('ZREM', KEYS[1], id)
    end
    if gone > 0 then
      rcall('SREM', KEYS[2], id)
      mended[#mended + 1] = id
    end
  end
end
return mended

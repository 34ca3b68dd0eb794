-- Take ids out of a group that stand in `waiting-children` no more.
--
-- KEYS: waiting-children
-- ARGV: base, place (`group` or `group-later`), group, dry ("1": write nothing), start, count
-- Returns: {how many it looked at, the ids}
-- Errors: none
-- Follows: no BullMQ operation
--- @include "includes/forget_group"
--- @include "includes/leave_later"
local rcall = redis.call
local base, place, group = ARGV[1], ARGV[2], ARGV[3]
local key = 'qc:' .. base .. place .. ':' .. group
local ids = redis.pcall('ZRANGE', key, ARGV[5], tonumber(ARGV[5]) + tonumber(ARGV[6]) - 1)
if ids.err or #ids == 0 then
  return { 0 }
end
local scores = rcall('ZMSCORE', KEYS[1], unpack(ids))
local gone = {}
for i = 1, #ids do
  if not scores[i] then
    gone[#gone + 1] = ids[i]
  end
end
if ARGV[4] ~= '1' and #gone > 0 then
  if place == 'group' then
    rcall('ZREM', key, unpack(gone))
    forget_group(base, group)
  else
    leave_later(base, group, gone)
  end
end
return { #ids, unpack(gone) }

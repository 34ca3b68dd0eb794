-- Count the running jobs of groups anew, without those that are not active any more.
--
-- KEYS: active, group-active, group-running, groups, groups-maxed
-- ARGV: base, dry ("1": write nothing), longest
-- Returns: the groups whose counts were wrong; -1 where `active` is longer than `longest`
-- Errors: none
-- Follows: no BullMQ operation
--
-- A group at its concurrency gets its turn again: the next claim finds out whether it still is.
--- @include "includes/count_of"
--- @include "includes/text"
--- @include "includes/group_turn"
local rcall = redis.call
local base, dry = ARGV[1], ARGV[2] == '1'
if count_of('LLEN', KEYS[1]) > tonumber(ARGV[3]) then
  return -1
end
local active = {}
for _, id in ipairs(rcall('LRANGE', KEYS[1], 0, -1)) do
  active[id] = true
end
local wrong, counted, order = {}, {}, {}
local function note(group)
  if not wrong[group] then
    wrong[group] = true
    order[#order + 1] = group
  end
end
local kept = rcall('HGETALL', KEYS[2])
for i = 1, #kept, 2 do
  local group = string.match(kept[i + 1], '^%S+ (.*)$')
  if active[kept[i]] and group then
    counted[group] = (counted[group] or 0) + 1
  else
    note(group or '')
    if not dry then
      rcall('HDEL', KEYS[2], kept[i])
    end
  end
end
local told = rcall('HGETALL', KEYS[3])
local seen = {}
for i = 1, #told, 2 do
  seen[told[i]] = tonumber(told[i + 1])
end
for group, number in pairs(counted) do
  if seen[group] ~= number then
    note(group)
  end
end
for group in pairs(seen) do
  if not counted[group] then
    note(group)
  end
end
for _, group in ipairs(rcall('SMEMBERS', KEYS[5])) do
  if not counted[group] then
    note(group) -- nothing of it runs: nobody would ever let it go on
  end
end
for i = 1, dry and 0 or #order do
  local group = order[i]
  if counted[group] then
    rcall('HSET', KEYS[3], group, counted[group])
  else
    rcall('HDEL', KEYS[3], group)
  end
  if rcall('SREM', KEYS[5], group) == 1 then
    rcall('ZADD', KEYS[4], 'NX', text(group_turn(base)), group)
  end
end
return order

-- Give jobs of `waiting-children` their place in their groups, and their groups a turn.
--
-- KEYS: waiting-children, events
-- ARGV: base, now, ids...
-- Returns: the ids of jobs for which something changed
-- Errors: none
-- Follows: no BullMQ operation
--
-- Not those that wait for children. One whose time has not come is due then.
--- @include "includes/count_of"
--- @include "includes/delay_group"
--- @include "includes/get_target"
--- @include "includes/group_of_job"
--- @include "includes/has_turn"
--- @include "includes/is_job"
--- @include "includes/leave_later"
--- @include "includes/stands_in_group"
--- @include "includes/wait_in_group"
local rcall = redis.call
local base, now = ARGV[1], tonumber(ARGV[2])
local own = 'qc:' .. base
local _, blocked = get_target(base)
local mended = {}

local function next_due(group)
  return rcall('ZRANGE', own .. 'group-later:' .. group, 0, 0, 'WITHSCORES')[2]
end

for i = 3, #ARGV do
  local id = ARGV[i]
  local group = rcall('ZSCORE', KEYS[1], id) and is_job(base .. id) and group_of_job(base, id)
  if group and count_of('SCARD', base .. id .. ':dependencies') == 0 then
    local where = stands_in_group(base, id)
    local changed = true
    if not where then
      local row = rcall('HMGET', base .. id, 'timestamp', 'delay')
      local due = (tonumber(row[1]) or 0) + (tonumber(row[2]) or 0)
      if due > now and (tonumber(row[2]) or 0) > 0 then
        delay_group(base, id, group, due, row[1])
        add_group_marker(base, blocked)
      else
        wait_in_group(base, id, false, blocked)
      end
    elseif where == 'waiting' and not has_turn(base, group) then
      rcall('ZADD', own .. 'groups', text(group_turn(base)), group)
      add_group_marker(base, blocked)
    elseif where == 'delayed' and next_due(group) ~= rcall('ZSCORE', own .. 'group-delayed', group) then
      leave_later(base, group, {})
      add_group_marker(base, blocked)
    else
      changed = false
    end
    if changed then
      mended[#mended + 1] = id
    end
  end
end
return mended

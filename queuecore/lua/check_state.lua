-- Look at some jobs of one state for what cannot be.
--
-- KEYS: source
-- ARGV: base, state, kind ("list" or "zset"), start, count, children
-- Returns: {seen, ids (of a list; else none), kind, id, kind, id, ...}
-- Errors: none
-- Follows: no BullMQ operation
--
-- The kinds are those of queuecore/integrity.py: ghost, twice, lock, stalled, parent, child, group. Of a
-- parent with more than `children` pending children these are not looked at. An id that begins with
-- `0:` is no job but a marker of BullMQ 4. It ends early when it has looked at many children: `seen` says
-- how far it came.
--- @include "includes/count_of"
--- @include "includes/group_of_job"
--- @include "includes/has_turn"
--- @include "includes/stands_in_group"
local rcall = redis.call
local base, state, kind = ARGV[1], ARGV[2], ARGV[3]
local first, count = tonumber(ARGV[4]), tonumber(ARGV[5])
local read = kind == 'list' and 'LRANGE' or 'ZRANGE'
local ids = redis.pcall(read, KEYS[1], first, first + count - 1)
if ids.err then
  return { 0, {} }
end
local elsewhere = {}
for _, name in ipairs({ 'completed', 'failed', 'delayed', 'prioritized', 'waiting-children' }) do
  local scores = #ids > 0 and name ~= state and redis.pcall('ZMSCORE', base .. name, unpack(ids))
  if scores and not scores.err then
    for i = 1, #ids do
      elsewhere[i] = elsewhere[i] or scores[i]
    end
  end
end

local answer = { #ids, kind == 'list' and ids or {} }
local function found(what, id)
  answer[#answer + 1] = what
  answer[#answer + 1] = id
end

local here, looked = {}, 0
for i = 1, #ids do
  if looked > 5 * tonumber(ARGV[6]) then
    answer[1] = i - 1
    break
  end
  local id = ids[i]
  local job = base .. id
  local locked = rcall('EXISTS', job .. ':lock') == 1
  local where = state == 'waiting-children' and stands_in_group(base, id)
  if rcall('EXISTS', job) == 0 then
    if not locked and string.sub(id, 1, 2) ~= '0:' then
      found('ghost', id)
    end
  else
    if here[id] or elsewhere[i] then
      found('twice', id)
    elseif state == 'active' and not locked then
      found('stalled', id)
    elseif state ~= 'active' and locked then
      found('lock', id)
    elseif where then
      local group = group_of_job(base, id)
      if where == 'waiting' and not has_turn(base, group)
          or where == 'delayed' and not rcall('ZSCORE', 'qc:' .. base .. 'group-delayed', group) then
        found('group', id)
      end
    elseif state == 'waiting-children' then
      local pending = count_of('SCARD', job .. ':dependencies')
      looked = looked + math.min(pending, tonumber(ARGV[6]))
      if pending == 0 and group_of_job(base, id) then
        found('group', id)
      elseif pending == 0 then
        found('parent', id)
      elseif pending <= tonumber(ARGV[6]) then
        local lost = false
        for _, child in ipairs(rcall('SMEMBERS', job .. ':dependencies')) do
          lost = lost or rcall('EXISTS', child) == 0
        end
        if lost then
          found('child', id)
        end
      end
    end
  end
  here[id] = true
end
return answer

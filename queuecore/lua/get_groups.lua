-- Read the groups that have jobs waiting, or are paused, with what each one does.
--
-- KEYS: groups, groups-limited, groups-maxed, groups-paused, group-running
-- ARGV: base, start, end, statuses...
-- Returns: {waiting, limited, maxed, paused (how many groups are), group, status, jobs, running, ...}
-- Errors: none
-- Follows: BullMQ Pro getGroups, getGroupsByStatus, getGroupsCountByStatus
--
-- `start` and `end` count from 0 over all groups of `statuses`, in the order of these and within one
-- in that of their turns; -1 is the last.
local rcall = redis.call
local names = { 'waiting', 'limited', 'maxed', 'paused' }
local wanted = {}
for i = 4, #ARGV do
  wanted[ARGV[i]] = true
end
local answer, all = {}, {}
for i = 1, 4 do
  local ids
  if i <= 2 then
    ids = rcall('ZRANGE', KEYS[i], 0, -1)
  else
    ids = rcall('SMEMBERS', KEYS[i])
    table.sort(ids)
  end
  answer[i] = #ids
  if wanted[names[i]] then
    for j = 1, #ids do
      all[#all + 1] = { ids[j], names[i] }
    end
  end
end
local first, last = tonumber(ARGV[2]), tonumber(ARGV[3])
first = math.max(first < 0 and #all + first or first, 0)
last = math.min(last < 0 and #all + last or last, #all - 1)
for i = first + 1, last + 1 do
  answer[#answer + 1] = all[i][1]
  answer[#answer + 1] = all[i][2]
  answer[#answer + 1] = rcall('ZCARD', 'qc:' .. ARGV[1] .. 'group:' .. all[i][1])
  answer[#answer + 1] = tonumber(rcall('HGET', KEYS[5], all[i][1])) or 0
end
return answer

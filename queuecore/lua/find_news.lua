-- Say in which of some queues anything happened since they were read.
--
-- KEYS: keys... (of each queue: events, then those of its lists and its sorted sets that held jobs)
-- ARGV: queues... (of each: last event's id, how many lists, how many sorted sets, their sizes)
-- Returns: {which of the queues, ...}, counted from 1
-- Errors: none
-- Follows: nothing of BullMQ; nothing is written
--
-- What adds a job to a queue, or moves one, leaves an event. What takes jobs away without one (clean,
-- drain, a change of priority) leaves fewer where it took them. So one command for all streams, and one
-- for each list or set that is not empty, see whatever changes a count.
--- @include "includes/count_of"
local answer, streams, ids, place = {}, {}, {}, {}
local key, arg, queue = 1, 1, 0
while key <= #KEYS do
  queue = queue + 1
  local lists, sets = tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2])
  local same = true
  for i = 1, lists + sets do
    same = same and count_of(i <= lists and 'LLEN' or 'ZCARD', KEYS[key + i]) == tonumber(ARGV[arg + 2 + i])
  end
  if same then
    streams[#streams + 1], ids[#ids + 1], place[KEYS[key]] = KEYS[key], ARGV[arg], queue
  else
    answer[#answer + 1] = queue
  end
  key, arg = key + 1 + lists + sets, arg + 3 + lists + sets
end
if #streams == 0 then
  return answer
end
local words = {'XREAD', 'COUNT', 1, 'STREAMS'}
for i = 1, #streams do
  words[4 + i], words[4 + #streams + i] = streams[i], ids[i]
end
local news = redis.pcall(unpack(words))
if (news and news.err) or redis.call('EXISTS', unpack(streams)) < #streams then
  -- One of them is no stream, or there is none any more: whoever asks reads all anew.
  for i = 1, #streams do
    answer[#answer + 1] = place[streams[i]]
  end
  return answer
end
for i = 1, news and #news or 0 do
  answer[#answer + 1] = place[news[i][1]]
end
return answer

-- Renew the locks of running jobs.
--
-- KEYS: active, stalled
-- ARGV: base, lock_duration, count, jobs... (4 each: id, token, starts, confirm "1" or "0")
-- Returns: a number a job: 1 renewed, 2 taken again after it had run out, 3 not taken again since
--   the server is full, 0 lost
-- Errors: none
-- Follows: BullMQ extendLocks
--
-- A lock is renewed by PEXPIRE, which a full server still takes. A lock that is gone (the server
-- froze, its clock jumped) is taken again while the job is still in this run. `confirm` marks a
-- run that outlived a renewal period, so that its stall counts (`sa` = `ats`).
local rcall = redis.call
local base = ARGV[1]
local answer, renewed, gone = {}, {}, {}
for i = 1, tonumber(ARGV[3]) do
  local at = i * 4
  local id = ARGV[at]
  local held = rcall('GET', base .. id .. ':lock')
  if held == ARGV[at + 1] then
    rcall('PEXPIRE', base .. id .. ':lock', ARGV[2])
    renewed[#renewed + 1] = id
    answer[i] = 1
  else
    answer[i] = 0
    if not held then
      gone[#gone + 1] = i
    end
  end
end
if #renewed > 0 then
  rcall('SREM', KEYS[2], unpack(renewed))
end
for i = 1, #answer do
  local at = i * 4
  if answer[i] == 1 and ARGV[at + 3] == '1' and rcall('EXISTS', base .. ARGV[at]) == 1 then
    redis.pcall('HSET', base .. ARGV[at], 'sa', ARGV[at + 2])
  end
end
if #gone > 0 then
  local running = {}
  local ids = rcall('LRANGE', KEYS[1], 0, -1)
  for i = 1, #ids do
    running[ids[i]] = true
  end
  for i = 1, #gone do
    local at = gone[i] * 4
    local id = ARGV[at]
    if running[id] and redis.pcall('HGET', base .. id, 'ats') == ARGV[at + 2] then
      local taken = redis.pcall('SET', base .. id .. ':lock', ARGV[at + 1], 'PX', ARGV[2], 'NX')
      if taken.ok then
        rcall('SREM', KEYS[2], id)
      end
      answer[gone[i]] = taken.ok and 2 or 3
    end
  end
end
return answer

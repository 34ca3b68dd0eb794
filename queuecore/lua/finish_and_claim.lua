-- Finish the jobs that a worker is done with and claim its next ones, in one atomic step.
--
-- KEYS: wait, paused, active, prioritized, delayed, completed, failed, stalled, events, meta,
--   marker, pc, limiter, receipt, grouped, limits
-- ARGV: base, number, worker, now, lock_duration, claim, name, limiter_max, limiter_duration,
--   metrics, dead_letter, group_limits, count, finishes... (7 each: id, claim number, kind, value, stacktrace, rule, attempts)
-- Returns: {"ok" or "again", codes {index, code, ...}, jobs {id, {field, value, ...}, ...},
--   limit_ttl, next_due, more}, or {"late"}
-- Errors: none
-- Follows: BullMQ moveToFinished, moveToActive, retryJob, moveToDelayed, moveJobFromActiveToWait
--
-- kind: c complete (rule: what to keep), f fail (rule: what to keep), r retry now (rule: "lifo" or
--   ""), d try again later and p come back later without counting the try (rule: the delay in ms),
--   w back to waiting without counting the try (rule: "limited" where the processor said that the
--   queue is, else ""). What to keep: "" all, "0" none, "count,age,limit".
-- attempts: attempts made after this one; with a "!" behind it where they are exhausted.
-- codes: -1 no such job, -2 no lock, -3 not active, -4 unfinished children, -6 another's lock,
--   -9 failed children; index counts from 1.
-- dead_letter: the base of the queue that gets a letter of each job that fails, or "".
-- group_limits: "concurrency,max,duration" (ms) of all groups, each may be empty.
-- more: 1 if jobs are left that a fair share, a limit or a suspect kept from this claim, 2 if others
--   use up the global concurrency or a named limit, or are next in turn for it.
--
-- The receipt (number of the lane's last call and its codes) makes a repeat harmless: a number
-- already seen returns that call's codes and the jobs it claimed, an older one or a closed lane
-- returns "late", and both write nothing. Writes begin with removals (finishing) so that a full
-- server still takes results, or with the receipt (claiming only) so that it refuses the claim whole.
--
-- A queue that has had grouped jobs (`grouped` exists) gives what room ungrouped ones leave to its
-- groups; see docs/decisions/0005-groups.md. One that belongs to named limits (`limits` names them)
-- takes no more than these leave it; see docs/decisions/0006-named-limits.md. Others pay nothing for it.
--
-- A key of a wrong type is an error before anything is written, where finished jobs would be lost by
-- it; later ones lose nothing: what is finished stays so, and the repeat of the call returns what was
-- claimed. An id whose hash is missing, or is no job's, is dropped.
--- @include "includes/text"
--- @include "includes/get_target"
--- @include "includes/add_marker"
--- @include "includes/add_delay_marker"
--- @include "includes/add_delayed"
--- @include "includes/add_prioritized"
--- @include "includes/put_back"
--- @include "includes/promote_delayed"
--- @include "includes/delete_job"
--- @include "includes/collect_metrics"
--- @include "includes/leave_active_batch"
--- @include "includes/evict_jobs"
--- @include "includes/finish_parent"
--- @include "includes/finish_deduplication"
--- @include "includes/unlink_child"
--- @include "includes/add_dead_letter"
--- @include "includes/make_groups"
--- @include "includes/make_limits"
local rcall = redis.call
local base, number, worker, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local want, count = tonumber(ARGV[6]), tonumber(ARGV[13])
local wait, active, prioritized, delayed = KEYS[1], KEYS[3], KEYS[4], KEYS[5]
local events, marker, receipt = KEYS[9], KEYS[11], KEYS[14]
local token = worker .. ':' .. number

local function claimed_by(mine)
  local jobs = {}
  local ids = rcall('LRANGE', active, 0, -1)
  for i = #ids, 1, -1 do
    if rcall('GET', base .. ids[i] .. ':lock') == mine then
      jobs[#jobs + 1] = ids[i]
      jobs[#jobs + 1] = rcall('HGETALL', base .. ids[i])
    end
  end
  return jobs
end

local keys = { receipt }
for i = 1, count do
  keys[i + 1] = base .. ARGV[7 + i * 7] .. ':lock'
end
keys[count + 2], keys[count + 3] = KEYS[15], KEYS[16]
local held = rcall('MGET', unpack(keys))
local last = held[1]
if last then
  local seen, kept = string.match(last, '^(%d+)(.*)$')
  if not seen or tonumber(seen) > tonumber(number) then
    return { 'late' }
  elseif seen == number then
    local codes = {}
    for index, code in string.gmatch(kept, ' (%d+)=(-%d+)') do
      codes[#codes + 1] = tonumber(index)
      codes[#codes + 1] = tonumber(code)
    end
    return { 'again', codes, claimed_by(token), 0, 0, 1 }
  end
end

local limits = held[count + 3] and make_limits(base, held[count + 3], now)
local groups = held[count + 2] and make_groups(base)
if groups then
  -- Of the right type? Else jobs would be lost between here and there.
  rcall('ZCARD', base .. 'waiting-children')
  rcall('HLEN', groups.active)
  rcall('ZCARD', groups.turns)
  rcall('ZCARD', groups.delayed)
end

-- 1. Look at what is to be finished; nothing is written yet, and a key of a wrong type ends it here.
rcall('XLEN', events)
local target, blocked, paused, meta = get_target(base)
local max_events = meta[6] or '10000'
local codes, sound, leaving, left = {}, {}, {}, {}
if count > 0 then
  local children = {}
  for i = 1, count do
    if ARGV[9 + i * 7] == 'c' then
      local job = base .. ARGV[7 + i * 7]
      children[#children + 1] = job .. ':dependencies'
      children[#children + 1] = job .. ':unsuccessful'
    end
  end
  local parents = #children > 0 and rcall('EXISTS', unpack(children)) > 0
  local mine, looked = {}, {}
  for i = 1, count do
    local at = 7 + i * 7
    local id = ARGV[at]
    local job = base .. id
    local row = redis.pcall('HMGET', job, 'timestamp', 'parentKey', 'parent', 'deid', 'sa')
    local code
    if not row[1] then
      code = -1
    elseif parents and ARGV[at + 2] == 'c' and rcall('SCARD', job .. ':dependencies') > 0 then
      code = -4
    elseif parents and ARGV[at + 2] == 'c' and rcall('ZCARD', job .. ':unsuccessful') > 0 then
      code = -9
    elseif not held[i + 1] then
      code = -2
    elseif held[i + 1] ~= worker .. ':' .. ARGV[at + 1] then
      code = -6
    else
      sound[i] = row
      mine[#mine + 1] = keys[i + 1]
      leaving[#leaving + 1] = id
      looked[ARGV[at + 2]] = true
      if row[4] then
        looked.d, looked.r = true, true -- another job may follow it (keepLastIfActive)
      end
      if row[2] then
        rcall('SCARD', row[2] .. ':dependencies')
      end
    end
    if code then
      codes[#codes + 1] = i
      codes[#codes + 1] = code
    end
  end
  if looked.c then
    rcall('ZCARD', KEYS[6])
  end
  if looked.f then
    rcall('ZCARD', KEYS[7])
    if ARGV[11] ~= '' then
      rcall('LLEN', (get_target(ARGV[11])))
      rcall('XLEN', ARGV[11] .. 'events')
    end
  end
  if looked.d or looked.p then
    rcall('ZCARD', delayed)
  end
  if looked.r or looked.w then
    rcall('LLEN', target)
    rcall('ZCARD', prioritized)
  end
  -- 2. The first writes: leave `active` and give up the locks.
  if #mine > 0 then
    rcall('SREM', KEYS[8], unpack(leaving))
    left = leave_active_batch(active, leaving)
    rcall('DEL', unpack(mine))
  end
else
  rcall('LLEN', active)
end

local function write_receipt()
  local kept = number
  for i = 1, #codes, 2 do
    kept = kept .. ' ' .. codes[i] .. '=' .. codes[i + 1]
  end
  rcall('SET', receipt, kept, 'PX', 3600000)
end
write_receipt()

-- 3. Finish.
local finished = { c = 0, f = 0 }
local sets = { c = KEYS[6], f = KEYS[7] }
local scored = { c = {}, f = {} }
local rules = {}
local dirty, limited = false, false

-- Store what was finished, and remove what its rule does not keep: once for all that have one rule,
-- and before the next one is finished, as if they had come one by one.
local function settle(kind)
  if #scored[kind] > 0 then
    rcall('ZADD', sets[kind], unpack(scored[kind]))
    scored[kind] = {}
  end
  if rules[kind] and rules[kind] ~= '' then
    -- More than were finished, so that a set which is too long becomes shorter.
    evict_jobs(base, sets[kind], rules[kind], now, 200 + finished[kind])
  end
end

for i = 1, count do
  local row = sound[i]
  if row then
    local at = 7 + i * 7
    local id, kind, value, stack, rule = ARGV[at], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5]
    local attempts = ARGV[at + 6]
    local job = base .. id
    if not left[id] then
      codes[#codes + 1] = i
      codes[#codes + 1] = -3
      dirty = true
    elseif kind == 'c' or kind == 'f' then
      if groups then
        groups.leave(base, id)
      end
      local exhausted = string.sub(attempts, -1) == '!'
      if exhausted then
        attempts = string.sub(attempts, 1, -2)
      end
      if kind == 'f' and ARGV[11] ~= '' then
        add_dead_letter(ARGV[11], base, id, value, attempts, now)
      end
      if row[4] then
        finish_deduplication(base, id, row[4], now, target, blocked, max_events)
      end
      if row[2] then
        finish_parent(job, row[2], row[3], kind, value, now)
      end
      if rule == '0' then
        if row[2] then
          unlink_child(base, job, row[2], row[3], false) -- a failed one without a rule still hangs there
        end
        delete_job(job)
      else
        if rule ~= (rules[kind] or '') then
          settle(kind)
        end
        rules[kind] = rule
        local members = scored[kind]
        members[#members + 1] = now
        members[#members + 1] = id
        if kind == 'c' then
          rcall('HSET', job, 'returnvalue', value, 'finishedOn', now, 'atm', attempts)
          if row[5] then
            rcall('HDEL', job, 'sa')
          end
        else
          rcall('ZADD', sets.f, now, id) -- at once: a child of it may fail behind it in this call
          rcall('HSET', job, 'failedReason', value, 'stacktrace', stack,
            'finishedOn', now, 'atm', attempts)
          rcall('HDEL', job, 'defa', 'sa')
        end
      end
      finished[kind] = finished[kind] + 1
      if kind == 'c' then
        rcall('XADD', events, '*', 'event', 'completed', 'jobId', id, 'returnvalue', value,
          'prev', 'active')
      else
        rcall('XADD', events, '*', 'event', 'failed', 'jobId', id, 'failedReason', value,
          'prev', 'active')
        if exhausted then
          rcall('XADD', events, '*', 'event', 'retries-exhausted', 'jobId', id,
            'attemptsMade', attempts)
        end
      end
    else
      if stack ~= '' then
        rcall('HSET', job, 'failedReason', value, 'stacktrace', stack)
      end
      if kind == 'r' or kind == 'd' then
        rcall('HSET', job, 'atm', attempts)
      end
      if row[5] and kind ~= 'w' then
        rcall('HDEL', job, 'sa')
      end
      local group, score
      if groups then
        group, score = groups.leave(base, id)
      end
      if kind == 'd' or kind == 'p' then
        local due = tonumber(now) + tonumber(rule)
        rcall('HSET', job, 'delay', rule)
        if group then
          groups.delay(base, id, group, due, row[1])
        else
          add_delayed(base, id, due)
        end
        rcall('XADD', events, 'MAXLEN', '~', max_events, '*',
          'event', 'delayed', 'jobId', id, 'delay', text(due))
        add_delay_marker(base)
      elseif group then
        -- Back to where it was, or behind the others of its priority to be tried again.
        local old = (kind == 'w' or rule == 'lifo') and score or nil
        limited = limited or kind == 'w' and rule == 'limited'
        groups.enter(base, id, group, math.floor(score / 4294967296), false, old, row[1])
        rcall('XADD', events, 'MAXLEN', '~', max_events, '*',
          'event', 'waiting', 'jobId', id, 'prev', 'active')
      else
        local priority = tonumber(rcall('HGET', job, 'priority')) or 0
        if kind == 'w' then
          limited = limited or rule == 'limited'
          put_back(base, id, priority, target, blocked, events, max_events)
        else
          if priority > 0 then
            add_prioritized(base, id, priority)
          else
            rcall(rule == 'lifo' and 'RPUSH' or 'LPUSH', target, id)
          end
          add_marker(base, blocked)
          rcall('XADD', events, 'MAXLEN', '~', max_events, '*',
            'event', 'waiting', 'jobId', id, 'prev', 'active')
        end
      end
    end
  end
end

for kind in pairs(sets) do
  settle(kind)
  if finished[kind] > 0 and ARGV[10] ~= '0' then
    local state = kind == 'c' and 'completed' or 'failed'
    -- Counting must not hold up what is counted.
    pcall(collect_metrics, base .. 'metrics:' .. state, finished[kind], tonumber(ARGV[10]), now)
  end
end
if count > 8 or (count > 0 and tonumber(number) % 8 == 0) then
  -- The cap is approximate: small calls need not trim each time.
  rcall('XTRIM', events, 'MAXLEN', '~', max_events)
end
if dirty then
  write_receipt()
end

-- 4. Claim.
local jobs, limit_ttl, next_due, more = {}, 0, 0, 0
local turned_away = false
if limited then
  -- Whoever knows no maximum heeds no limit, but for the worker whose processor has met it.
  limit_ttl = math.max(rcall('PTTL', KEYS[13]), 0)
end
if want > 0 then
  if paused and target ~= wait and rcall('EXISTS', wait) == 1 then
    -- A list beside BullMQ 5's `paused` would be lost when 5 resumes.
    local stranded = rcall('LRANGE', wait, 0, -1)
    for first = 1, #stranded, 4000 do
      rcall('RPUSH', target, unpack(stranded, first, math.min(first + 3999, #stranded)))
    end
    rcall('DEL', wait)
  end
  promote_delayed(base, now, target, blocked)
  if groups then
    groups.promote(base, now)
  end

  local max = tonumber(meta[3] or ARGV[8])
  local used = 0
  if max then
    used = tonumber(rcall('GET', KEYS[13]) or 0)
    if not used or used >= max then
      limit_ttl = used and math.max(rcall('PTTL', KEYS[13]), limit_ttl, 0) or limit_ttl
      if limit_ttl == 0 then
        rcall('DEL', KEYS[13]) -- without a time it would hold for ever
        used = 0
      elseif not meta[3] and rcall('EXISTS', wait, prioritized) > 0 then
        redis.pcall('ZADD', marker, 0, '0') -- another worker may have no limit, or a higher one
      end
    end
  end

  if limit_ttl == 0 and not paused then
    -- At most half of what waits, so that idle processes share; a single job needs no counting.
    local room, plain, ranked = want, 1, 1
    local found, grouped
    if groups then
      local concurrency, most, duration = string.match(ARGV[12], '^(%d*),(%d*),(%d*)$')
      found, grouped = groups.survey(base, now, want * 2,
        { tonumber(concurrency), tonumber(most), tonumber(most) and duration })
      plain, ranked = rcall('LLEN', wait), rcall('ZCARD', prioritized)
      room = math.min(want, math.ceil((plain + ranked + grouped) / 2))
    elseif want > 1 then
      plain = rcall('LLEN', wait)
      ranked = plain < want * 2 and rcall('ZCARD', prioritized) or 0
      room = math.min(want, math.ceil((plain + ranked) / 2))
    end
    local most = tonumber(meta[2])
    if most then
      room = math.min(room, most - rcall('LLEN', active))
    end
    if max then
      room = math.min(room, max - used)
    end
    if limits and room > 0 then
      room = limits.cut(room)
      turned_away = room < 1
    end
    if room > 0 then
      local ids = {}
      -- Straight from list to list.
      local direct = room == 1 and plain > 0 and rcall('RPOPLPUSH', wait, active)
      if direct then
        ids[1] = direct
      elseif plain > 0 then
        local tail = rcall('LRANGE', wait, -room, -1)
        for i = #tail, 1, -1 do
          ids[#ids + 1] = tail[i]
        end
      end
      local from_wait = #ids
      if from_wait < room and ranked > 0 then
        local front = rcall('ZRANGE', prioritized, 0, room - from_wait - 1)
        for i = 1, #front do
          ids[#ids + 1] = front[i]
        end
      end
      local taken, started, free, alone = 0, {}, 0, false

      for i = 1, #ids do
        local id = ids[i]
        local job = base .. id
        local fields = redis.pcall('HGETALL', job)
        -- The starts so far, the unconfirmed stalls in a row, whether there is such a job, and whether it only
        -- has to fail.
        local starts, unconfirmed, known, fails = 0, 0, false, false
        for f = 1, #fields, 2 do
          local field = fields[f]
          if field == 'ats' then
            starts = tonumber(fields[f + 1]) or 0
          elseif field == 'sa' then
            unconfirmed = tonumber(fields[f + 1]) or 0
          elseif field == 'timestamp' then
            known = true
          elseif field == 'defa' then
            fails = true
          end
        end
        local group, rank
        if groups and known then
          group, rank = groups.of(rcall('HGET', job, 'opts'))
        end
        alone = unconfirmed <= -2 and not group
        if alone and #jobs > 0 then
          break -- a job that may kill its process is claimed alone
        end
        taken = i
        if (not known or group) and direct then
          rcall('LREM', active, 1, id)
        end
        if not known then
          rcall('XADD', events, '*', 'event', 'removed', 'jobId', id, 'prev', 'wait')
        elseif group then
          -- A peer, a scheduler or a deduplication put it here: back into its group.
          local was, score = groups.leave(base, id)
          groups.enter(base, id, group, rank, false, was and score, nil)
          rcall('XADD', events, '*', 'event', 'waiting-children', 'jobId', id, 'prev', 'waiting')
        else
          rcall('SET', job .. ':lock', token, 'PX', ARGV[5])
          rcall('XADD', events, '*', 'event', 'active', 'jobId', id, 'prev', 'waiting')
          if ARGV[7] == '' then
            rcall('HSET', job, 'processedOn', now, 'ats', text(starts + 1))
          else
            rcall('HSET', job, 'processedOn', now, 'ats', text(starts + 1), 'pb', ARGV[7])
          end
          started[#started + 1] = id
          jobs[#jobs + 1] = id
          jobs[#jobs + 1] = fields
          free = free + (fails and 1 or 0)
        end
        if alone then
          break
        end
      end
      local listed = math.min(taken, from_wait)
      if listed > 0 and not direct then
        rcall('LTRIM', wait, 0, -(listed + 1))
      end
      if taken > listed then
        rcall('ZREMRANGEBYRANK', prioritized, 0, taken - listed - 1)
      end
      if #started > 0 and not direct then
        rcall('LPUSH', active, unpack(started))
      end
      if groups and not alone and #started < room then
        local pushed, failing = #started, {}
        -- The same for a job of a group: a function for both would cost queues without groups more than
        -- all else of these.
        local function start(id, group, score)
          local job = base .. id
          local row = redis.pcall('HMGET', job, 'timestamp', 'ats', 'sa', 'defa')
          local unconfirmed = tonumber(row[3]) or 0
          if unconfirmed <= -2 and #jobs > 0 then
            return nil
          end
          local stood = rcall('ZREM', base .. 'waiting-children', id) == 1
          if not stood or not row[1] then
            if stood then
              rcall('XADD', events, '*', 'event', 'removed', 'jobId', id, 'prev', 'wait')
            end
            return false
          end
          failing[id] = row[4]
          free = free + (row[4] and 1 or 0)
          started[#started + 1] = id
          jobs[#jobs + 1] = id
          jobs[#jobs + 1] = rcall('HGETALL', job)
          local starts = text((tonumber(row[2]) or 0) + 1)
          rcall('SET', job .. ':lock', token, 'PX', ARGV[5])
          rcall('XADD', events, '*', 'event', 'active', 'jobId', id, 'prev', 'waiting')
          rcall('HSET', job, 'processedOn', now, 'ats', starts)
          if ARGV[7] ~= '' then
            rcall('HSET', job, 'pb', ARGV[7])
          end
          rcall('HSET', groups.active, id, score .. ' ' .. group)
          return unconfirmed <= -2 and 'alone' or true
        end
        groups.claim(base, now, room - pushed, found, start, failing)
        if #started > pushed then
          rcall('LPUSH', active, unpack(started, pushed + 1))
        end
      end
      if #started > 0 then
        local counted = #started - free
        if limits then
          limits.count(#started, counted)
        end
        if max then
          if counted > 0 and rcall('INCRBY', KEYS[13], counted) == counted then
            local duration = tonumber(ARGV[9]) or tonumber(meta[4])
            if duration then
              rcall('PEXPIRE', KEYS[13], text(math.floor(duration)))
            end
          end
        end
      end
      if #ids == 0 then
        rcall('DEL', KEYS[12])
      else
        if taken > 0 then
          redis.pcall('ZADD', marker, 0, '0') -- also where all were dropped: there may be more behind them
        end
        if want == 1 or taken < plain + ranked then
          more = 1
        end
      end
      if groups and rcall('EXISTS', groups.turns) == 1 then
        more = 1
      end
    elseif rcall('EXISTS', wait, prioritized) > 0 or (groups and rcall('EXISTS', groups.turns) == 1) then
      more = 2 -- others use up the global concurrency
      limit_ttl = turned_away and limits.turn_away() or 0
    else
      turned_away = false
      rcall('DEL', KEYS[12])
    end
  end
  if #jobs == 0 then
    local first = rcall('ZRANGE', delayed, 0, 0, 'WITHSCORES')
    if first[2] then
      next_due = math.floor(tonumber(first[2]) / 4096)
    end
    if groups then
      local later = rcall('ZRANGE', groups.delayed, 0, 0, 'WITHSCORES')
      local over = rcall('ZRANGE', groups.limited, 0, 0, 'WITHSCORES')
      for _, at in ipairs({ math.floor((tonumber(later[2]) or 0) / 4096), tonumber(over[2]) or 0 }) do
        if at > 0 and (next_due == 0 or at < next_due) then
          next_due = at
        end
      end
      if more == 0 and rcall('EXISTS', groups.limited, groups.maxed) > 0 then
        more = 1
      end
    end
  end
end
if groups then
  -- Not while nobody may take one: those who were woken would only wake the next.
  local most = tonumber(meta[2])
  groups.mark(base, paused or turned_away or (limit_ttl > 0 and meta[3]) or (most and rcall('LLEN', active) >= most))
end

if limits then
  limits.settle(want)
end

-- A slot of the global concurrency is free again, and this call has not taken it.
if blocked and not paused and count > 0 and #jobs == 0 and rcall('EXISTS', wait, prioritized) > 0 then
  redis.pcall('ZADD', marker, 0, '0')
end

-- 5. `drained` when nothing is left at all.
if finished.c + finished.f > 0 and #jobs == 0 and limit_ttl == 0 and next_due == 0
    and (want == 0 or not blocked) and rcall('LLEN', wait) == 0 and rcall('LLEN', active) == 0
    and rcall('ZCARD', prioritized) == 0
    and not (groups and rcall('EXISTS', groups.turns, 'qc:' .. base .. 'groups-paused') > 0) then
  rcall('XADD', events, '*', 'event', 'drained')
end

return { 'ok', codes, jobs, limit_ttl, text(next_due), more }

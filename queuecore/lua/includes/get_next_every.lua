-- The next run (ms) of a scheduler that runs every so many ms, and the offset to be written down: the
-- place of the run in its interval where none was given. Without a run before: at `start`, or at the
-- offset, or now. A run that was missed is not made up for: the next place in the future is taken.
local function get_next_every(previous, every, now, offset, start)
  local slot = math.floor(now / every) * every
  local due
  if previous then
    due = previous + every
    if due < now then
      due = slot + offset
      if due <= now then
        due = due + every
      end
    end
  elseif start then
    due = math.max(start, now)
  elseif offset > 0 then
    due = slot + offset
    if due <= now then
      due = due + every
    end
  else
    due = now
  end
  if offset == 0 then
    offset = due - math.floor(due / every) * every
  end
  return math.floor(due), math.floor(offset)
end

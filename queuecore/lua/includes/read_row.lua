--- @include "includes/read_fields"
-- What a list shows of one job: {id, state, score, data length, reason length, values...}, the
-- values in the order of `names`; {id} if the job has no hash. Other hashes of a queue have no
-- timestamp: one without it is a job only if it certainly stands in that state.
local function read_row(base, id, state, score, certain)
  local names = {
    'name', 'timestamp', 'processedOn', 'finishedOn', 'delay', 'priority', 'atm', 'attemptsMade',
    'ats', 'stc', 'progress', 'failedReason', 'pb', 'parentKey', 'rjk', 'opts', 'data'
  }
  local values, lengths = read_fields(base .. id, names, 65536)
  if not values or not (certain or values[2]) then
    return {id}
  end
  local row = {id, state, score, lengths[17], lengths[12]}
  for i = 1, #names do
    local value = values[i]
    -- Enough for 401 characters of four bytes; the options are needed whole.
    if value and #value > 1604 and names[i] ~= 'opts' then
      value = string.sub(value, 1, 1604)
    end
    row[i + 5] = value
  end
  return row
end

--- @include "includes/group_of_job"
-- Where a job of `waiting-children` waits for its turn in a group, not for children: "waiting" or
-- "delayed"; false if in none.
local function stands_in_group(base, id)
  local own = 'qc:' .. base
  local group = group_of_job(base, id)
  if not group then
    return false
  elseif redis.call('ZSCORE', own .. 'group:' .. group, id) then
    return 'waiting'
  end
  return redis.call('ZSCORE', own .. 'group-later:' .. group, id) and 'delayed' or false
end

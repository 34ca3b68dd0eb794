-- Let parents go on that wait for children which are gone.
--
-- KEYS: waiting-children
-- ARGV: base, now, children, ids...
-- Returns: the ids of parents that changed
-- Errors: none
-- Follows: no BullMQ operation
--
-- A child whose job is gone is forgotten, as if it had been removed now; a parent that waits for none
-- runs. Pending children of a parent that has more than `children` are not looked at.
--- @include "includes/count_of"
--- @include "includes/is_job"
--- @include "includes/group_of_job"
--- @include "includes/release_parent"
local rcall = redis.call
local mended = {}
for i = 4, #ARGV do
  local id = ARGV[i]
  local job = ARGV[1] .. id
  local pending = job .. ':dependencies'
  if rcall('ZSCORE', KEYS[1], id) and is_job(job) then
    local changed = false
    if count_of('SCARD', pending) <= tonumber(ARGV[3]) then
      for _, child in ipairs(rcall('SMEMBERS', pending)) do
        if rcall('EXISTS', child) == 0 then
          changed = rcall('SREM', pending, child) == 1 or changed
        end
      end
    end
    -- A grouped job waits for its turn, or was given none: that is not for here.
    if count_of('SCARD', pending) == 0 and not group_of_job(ARGV[1], id) then
      rcall('ZREM', KEYS[1], id)
      release_parent(ARGV[1], id, ARGV[2])
      changed = true
    end
    if changed then
      mended[#mended + 1] = id
    end
  end
end
return mended

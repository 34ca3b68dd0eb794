--- @include "includes/wake_siblings"
-- Take a running job out of `active` by the token of its run ("0" asks for none).
-- Returns nothing, or a code: -1 no such job, -2 no lock, -3 not active, -6 another's lock.
local function leave_active(base, id, token)
  local job = base .. id
  if redis.call('EXISTS', job) == 0 then
    return -1
  end
  if token ~= '0' then
    local held = redis.call('GET', job .. ':lock')
    if not held then
      return -2
    elseif held ~= token then
      return -6
    end
    redis.call('DEL', job .. ':lock')
    redis.call('SREM', base .. 'stalled', id)
  end
  if redis.call('LREM', base .. 'active', -1, id) == 0 then
    return -3
  end
  redis.call('HDEL', job, 'sa')
  wake_siblings(base)
end

--- @include "includes/locate_job"
-- Split the key of a child into the base of its queue and its id. Where the id holds ":", the queue is
-- the one of several that there is.
local function locate_child(key)
  local base, id = locate_job(key)
  local first, from = base, id
  while base and redis.call('EXISTS', base .. 'meta') == 0 do
    local shorter, more = string.match(base, '^(.+:)([^:]+):$')
    if not shorter then
      return first, from
    end
    base, id = shorter, more .. ':' .. id
  end
  return base, id
end

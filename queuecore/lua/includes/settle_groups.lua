--- @include "includes/leave_group"
-- Forget the running jobs of groups that are not in `active` any more, since a peer took them out: their
-- groups would wait for them for ever.
local function settle_groups(base, running)
  local kept = redis.call('HKEYS', 'qc:' .. base .. 'group-active')
  if #kept == 0 then
    return
  end
  local active = {}
  for i = 1, #running do
    active[running[i]] = true
  end
  for i = 1, #kept do
    if not active[kept[i]] then
      leave_group(base, kept[i])
    end
  end
end

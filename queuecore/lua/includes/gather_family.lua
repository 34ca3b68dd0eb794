--- @include "includes/list_children"
--- @include "includes/locate_child"
-- Find the {base, id} of all that goes with a job, by the key of its parent; nothing if a worker holds it
-- or one of its unfinished children. Without `children` the job goes alone.
local function gather_family(root, children)
  local below = {}
  local function collect(job, finished)
    if not finished and redis.call('EXISTS', job .. ':lock') == 1 then
      return false
    end
    below[job] = {}
    if children then
      local found = list_children(job)
      for i = 1, #found do
        local key = found[i][1]
        local base, id = locate_child(key)
        if base and not below[key] then
          below[job][#below[job] + 1] = { base, id }
          if not collect(key, found[i][2]) then
            return false
          end
        end
      end
    end
    return true
  end
  return collect(root, false) and below or nil
end

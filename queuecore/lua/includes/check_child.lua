--- @include "includes/is_job"
-- Why a job may not become the child of `parent_key`: "no parent", "other parent" or "cycle"; nothing
-- if it may. `job` is its key, false where its id is still to be made. `above` collects the links that
-- one call makes, `made` holds the keys of the jobs that it adds.
local function check_child(job, parent_key, above, made)
  if not made[parent_key] and not is_job(parent_key) then
    return 'no parent'
  end
  redis.call('SCARD', parent_key .. ':dependencies') -- of the right type? Nothing is written yet
  if not job then
    return
  end
  local exists = is_job(job)
  local known = above[job] or (exists and redis.call('HGET', job, 'parentKey'))
  if known and known ~= parent_key and (made[known] or redis.call('EXISTS', known) == 1) then
    return 'other parent'
  end
  above[job] = parent_key
  if not exists then
    return
  end
  local key = parent_key
  for _ = 1, 1000 do
    if key == job then
      return 'cycle'
    end
    key = above[key] or redis.call('HGET', key, 'parentKey')
    if not key then
      return
    end
  end
end

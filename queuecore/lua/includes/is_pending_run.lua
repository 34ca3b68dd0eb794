-- Whether a job is the next run of a scheduler: that one goes only with its scheduler.
local function is_pending_run(base, id, scheduler)
  if not scheduler then
    return false
  end
  local due = redis.call('ZSCORE', base .. 'repeat', scheduler)
  return due and id == 'repeat:' .. scheduler .. ':' .. due
end

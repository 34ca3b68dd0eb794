-- Delete the keys of a job (not its lock, which belongs to the worker that holds it).
local function delete_job(job)
  return redis.call('DEL', job, job .. ':logs', job .. ':dependencies', job .. ':processed',
    job .. ':failed', job .. ':unsuccessful')
end

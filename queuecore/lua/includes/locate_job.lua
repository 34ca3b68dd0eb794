-- Split a job's key into the base of its queue and its id. Prefixes and ids may hold ":" too, so
-- the `parent` field of a child, which names the parent's queue, is asked first where it is given.
-- Returns base, id and the decoded field; nothing if the key is none.
local function locate_job(key, parent)
  local ok, told = pcall(cjson.decode, parent or '')
  if not ok or type(told) ~= 'table' then
    told = {}
  end
  if type(told.queueKey) == 'string' then
    local base = told.queueKey .. ':'
    if #key > #base and string.sub(key, 1, #base) == base then
      return base, string.sub(key, #base + 1), told
    end
  end
  local base, id = string.match(key, '^(.+:)([^:]+)$')
  return base, id, told
end

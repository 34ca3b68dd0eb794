-- The group of a job and its priority there, by its options as JSON; nothing if it has none.
local function group_of(opts)
  if not opts or not string.find(opts, '"group"', 1, true) then
    return nil
  end
  local ok, told = pcall(cjson.decode, opts)
  local group = ok and type(told) == 'table' and told.group
  if type(group) ~= 'table' then
    return nil
  end
  local id = group.id
  if type(id) == 'number' then
    id = string.format('%.14g', id) -- Node takes numbers, too
  end
  if type(id) ~= 'string' or id == '' then
    return nil
  end
  return id, math.min(math.max(math.floor(tonumber(group.priority) or 0), 0), 2097151)
end

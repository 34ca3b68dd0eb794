-- Read fields of a hash that anybody may have written. A value longer than `most` bytes is not
-- touched: the server would copy it whole.
-- Returns the values (false where absent, empty where too long) and their lengths, in the order of
-- `names`; nothing if there is no such hash.
local function read_fields(key, names, most)
  local count = redis.pcall('HLEN', key)
  if type(count) ~= 'number' or count == 0 then
    return
  end
  local lengths, wanted, place = {}, {}, {}
  for i = 1, #names do
    lengths[i] = redis.call('HSTRLEN', key, names[i])
    if lengths[i] <= most then
      wanted[#wanted + 1] = names[i]
      place[#place + 1] = i
    end
  end
  local values = {}
  for i = 1, #names do
    values[i] = ''
  end
  if #wanted > 0 then
    local found = redis.call('HMGET', key, unpack(wanted))
    for i = 1, #place do
      values[place[i]] = found[i]
    end
  end
  return values, lengths
end

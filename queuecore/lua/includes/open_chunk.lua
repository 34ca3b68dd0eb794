-- Whether a step of an operation's chunk may be carried out: its receipt belongs to the caller and does
-- not say that this step, or a later one, was carried out before.
-- Returns true, or what to answer instead: {0} if somebody else goes on with the operation.
local function open_chunk(receipt, owner, chunk, step)
  local row = redis.call('HMGET', receipt, 'owner', 'chunk', 'step', 'place', 'done', 'skipped',
    'failed', 'why')
  if row[1] ~= owner or row[2] ~= chunk then
    return false, { 0 }
  end
  if tonumber(row[3]) >= tonumber(step) then
    return false, { 1, tonumber(row[3]), row[4], tonumber(row[5]), tonumber(row[6]), tonumber(row[7]),
      cmsgpack.unpack(row[8]) }
  end
  return true, row
end

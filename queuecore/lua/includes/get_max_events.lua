-- The approximate cap of the event stream; like BullMQ's scripts it is written down where absent,
-- and with it our version, so that a queue that only Python uses says who made it.
local function get_max_events(base, row, version)
  if row[6] then
    if not row[5] then
      redis.call('HSET', base .. 'meta', 'version', version)
    end
    return row[6]
  end
  redis.call('HSET', base .. 'meta', 'opts.maxLenEvents', '10000', 'version', row[5] or version)
  return '10000'
end

-- Write down what a step of a chunk has done, and answer all that the chunk has done so far. `row` is
-- from open_chunk; `place` says where the chunk goes on; `failures` is a flat list of ids and reasons.
local function close_chunk(receipt, row, step, place, done, skipped, failures)
  local why = cmsgpack.unpack(row[8])
  for i = 1, #failures do
    if #why < 200 then
      why[#why + 1] = failures[i]
    end
  end
  local answer = { 1, tonumber(step), place, tonumber(row[5]) + done, tonumber(row[6]) + skipped,
    tonumber(row[7]) + #failures / 2, why }
  redis.call('HSET', receipt, 'step', step, 'place', place, 'done', answer[4], 'skipped', answer[5],
    'failed', answer[6], 'why', cmsgpack.pack(why))
  return answer
end

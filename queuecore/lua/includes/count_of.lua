-- The answer of a counting command; 0 where the key is of another type.
local function count_of(...)
  local answer = redis.pcall(...)
  return type(answer) == 'number' and answer or 0
end

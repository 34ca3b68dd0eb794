-- Write a whole number in full: Lua would print large ones as 1e+15, which no peer reads back.
local function text(number)
  return string.format('%.0f', number)
end

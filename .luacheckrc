-- The scripts run inside the server: Lua 5.1 and what Redis and Valkey bring.
std = "lua51"
read_globals = { "redis", "cjson", "cmsgpack", "struct", "bit", "KEYS", "ARGV" }
max_line_length = 120

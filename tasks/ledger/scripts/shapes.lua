-- Look at keys: which of them are not of the type they should be, or hold more entries than they may. Reads only.
-- A key that a script declares takes the right to write it: what is only read is named among the arguments.
-- ARGV three for each key: its name, its type, how many entries it may hold or ''
-- Reply for each: '' when it is well, not there, or not ours to read; else what is wrong, as a phrase
local LENGTH = {hash = 'HLEN', list = 'LLEN', zset = 'ZCARD', set = 'SCARD', stream = 'XLEN'}
local reply = {}
for at = 1, #ARGV, 3 do
  local key, wanted, most = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local kind, wrong = redis.pcall('TYPE', key).ok or 'none', ''
  if kind ~= 'none' and kind ~= wanted then
    wrong = 'is a ' .. kind .. ' and should be a ' .. wanted
  elseif kind ~= 'none' and most and LENGTH[kind] then
    local length = redis.call(LENGTH[kind], key)
    if length > most then wrong = 'holds ' .. length .. ' entries and should hold ' .. most .. ' at most' end
  end
  reply[#reply + 1] = wrong
end
return reply

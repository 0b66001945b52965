-- Put rows on the record, each with the next number, so that a row that goes missing is missed.
-- KEYS 1 stream of audit rows, 2 string: number of the newest row
-- ARGV 1 rows kept, 2 fields of a row, then their names, then the values of each row
-- Reply the number of the last row
local kept, width = ARGV[1], tonumber(ARGV[2])
local number
for first = 3 + width, #ARGV, width do
  number = redis.pcall('INCR', KEYS[2])
  if type(number) ~= 'number' then  -- the counter is damaged: it counts anew, which the copy on disk tells
    redis.call('SET', KEYS[2], 1)
    number = 1
  end
  local row = {}
  for at = 0, width - 1 do
    row[#row + 1] = ARGV[3 + at]
    row[#row + 1] = ARGV[first + at]
  end
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', kept, '*', 'number', number, unpack(row))
end
return number

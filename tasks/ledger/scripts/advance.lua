-- Counters that went back are moved on: the ledger forgot what the disk knows. None ever goes down.
-- KEYS 1..21: see prelude.lua; 22 the fence of a collection
-- ARGV 1 id of a job or '', 2 its least attempt, 3 least revision, 4 least fence
-- Reply {'1' if any was behind, else '0'}
local moved = '0'
local at = redis.pcall('GET', REVISION)
at = type(at) == 'string' and tonumber(at) or 0
if tonumber(ARGV[3]) > 0 and not (at >= tonumber(ARGV[3]) and at < 2^53) then
  redis.call('SET', REVISION, ARGV[3])
  moved = '1'
  -- Whoever mirrors the board looks again at all that is not final, and at what ended last.
  for _, id in ipairs(redis.call('ZRANGE', LIVE, 0, 4999)) do redis.call('ZADD', CHANGES, next_revision(), id) end
  for _, id in ipairs(redis.call('ZREVRANGE', FINAL, 0, 199)) do redis.call('ZADD', CHANGES, next_revision(), id) end
end
local fence = redis.pcall('GET', KEYS[22])
if (type(fence) == 'string' and tonumber(fence) or 0) < tonumber(ARGV[4]) then
  redis.call('SET', KEYS[22], ARGV[4])
  moved = '1'
end
if ID ~= '' and get('state') ~= '' and count('attempt') < tonumber(ARGV[2]) then
  set('attempt', ARGV[2])
  event('Its attempts are counted from ' .. ARGV[2] .. ' on again, as on disk.')
  touch()
  moved = '1'
end
return {moved}

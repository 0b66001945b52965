-- May a person submit this? If so, it is counted: jobs of the last minute, bytes of the last day, and which of their
-- jobs are not final. All of it or nothing; a submission whose token was counted before costs nothing more.
-- A window is made of pieces, and the one that it began in counts whole, so that no minute and no day holds more.
-- KEYS 1 hash '<jobs|bytes>:<piece>' -> count, 2 zset: id of a job -> when it was counted, 3 LIVE; then a marker for each
--      submission ('-' for one without a token)
-- ARGV 1 jobs a minute, 2 jobs that are not final, 3 bytes a day (0: no limit), 4 '1': count it; then for each
--      submission its bytes and the id that its job gets
-- Reply {'ok'} or {what: 'jobs', 'live' or 'bytes', limit, used, asked, seconds until it fits; -1: never by itself}
local USED, THEIRS, LIVE = KEYS[1], KEYS[2], KEYS[3]
local SECONDS, PIECES = {jobs = 10, bytes = 3600}, {jobs = 6, bytes = 24}
local LOOKED, MARKED_S, KEPT_S = 20, 86400, 2592000
local limits = {jobs = tonumber(ARGV[1]), live = tonumber(ARGV[2]), bytes = tonumber(ARGV[3])}
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000

-- Another type is not of our making, and nobody is to be locked out by it.
if redis.call('TYPE', USED).ok ~= 'hash' then redis.call('DEL', USED) end
if redis.call('TYPE', THEIRS).ok ~= 'zset' then redis.call('DEL', THEIRS) end

local asked, ids, markers, seen = {jobs = 0, bytes = 0}, {}, {}, {}
for at = 4, #KEYS do
  local marker, bytes, id = KEYS[at], ARGV[2 * at - 3], ARGV[2 * at - 2]
  local counted = marker ~= '-' and (seen[marker] or redis.call('EXISTS', marker) == 1)
  if not counted then
    seen[marker] = true
    asked.jobs = asked.jobs + 1
    asked.bytes = asked.bytes + tonumber(bytes)
    ids[#ids + 1] = id
    if marker ~= '-' then markers[#markers + 1] = marker end
  end
end
if asked.jobs == 0 then return {'ok'} end

local function refused(what, used, want, wait)
  return {what, string.format('%.0f', limits[what]), string.format('%.0f', used), string.format('%.0f', want),
          string.format('%.0f', math.ceil(wait))}
end

local held, stale = {jobs = {}, bytes = {}}, {}
local rows = redis.call('HGETALL', USED)
for at = 1, #rows, 2 do
  local what, piece = string.match(rows[at], '^(%a+):(%d+)$')
  local of, count = held[what or ''], tonumber(rows[at + 1])
  local ended = of and (tonumber(piece) + PIECES[what] + 1) * SECONDS[what]
  if of and count and count >= 0 and ended > now and tonumber(piece) * SECONDS[what] <= now + 60 then
    of[#of + 1] = {free_at = ended, count = count}
  else
    stale[#stale + 1] = rows[at]
  end
end
for _, what in ipairs({'jobs', 'bytes'}) do
  if limits[what] > 0 then
    local used = 0
    for _, piece in ipairs(held[what]) do used = used + piece.count end
    if used + asked[what] > limits[what] then
      if asked[what] > limits[what] then return refused(what, used, asked[what], -1) end
      table.sort(held[what], function(one, other) return one.free_at < other.free_at end)
      local left, wait = used, 0
      for _, piece in ipairs(held[what]) do
        if left + asked[what] > limits[what] then
          left = left - piece.count
          wait = piece.free_at - now
        end
      end
      return refused(what, used, asked[what], math.max(1, wait))
    end
  end
end

-- Those that ended go: a few of the oldest each time, and all of them only where the limit is near.
local function forget(last)
  for _, id in ipairs(redis.call('ZRANGE', THEIRS, 0, last)) do
    if not redis.call('ZSCORE', LIVE, id) then redis.call('ZREM', THEIRS, id) end
  end
end
if limits.live > 0 then
  forget(LOOKED + #ids)
  if redis.call('ZCARD', THEIRS) + #ids > limits.live then forget(-1) end
  local live = redis.call('ZCARD', THEIRS)
  if live + #ids > limits.live then return refused('live', live, #ids, -1) end
end
if ARGV[4] ~= '1' then return {'ok'} end

if #stale > 0 then
  for first = 1, #stale, 1000 do redis.call('HDEL', USED, unpack(stale, first, math.min(#stale, first + 999))) end
end
for _, what in ipairs({'jobs', 'bytes'}) do
  if limits[what] > 0 and asked[what] > 0 then
    redis.call('HINCRBY', USED, what .. ':' .. math.floor(now / SECONDS[what]), string.format('%.0f', asked[what]))
  end
end
redis.call('EXPIRE', USED, 2 * MARKED_S)
if limits.live > 0 then
  for _, id in ipairs(ids) do redis.call('ZADD', THEIRS, string.format('%.6f', now), id) end
  redis.call('EXPIRE', THEIRS, KEPT_S)
end
for _, marker in ipairs(markers) do redis.call('SET', marker, '1', 'EX', MARKED_S) end
return {'ok'}

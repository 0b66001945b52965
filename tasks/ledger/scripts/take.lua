-- A worker that is free takes the delivery whose turn it is, unless it, the queue or all of RQ is held.
-- The longest wait goes first, and each level of priority counts as so many seconds of waiting.
-- KEYS 1 bell, 2 enqueued, 3 paused, 4 drained, 5 written off, 6.. the queues, most urgent first
-- ARGV 1 worker, or '' to take nothing and only learn the longest wait, 2 seconds that a level counts,
--      3 what the names of RQ's jobs start with, 4 RQ's suspension, which is only read, 5.. our names of the queues, as they are paused
-- Reply {'written off'}, {'drained'}, {'suspended'}, {'empty'}, {'taken', queue's key, RQ id} or {'oldest', seconds}
local BELL, ENQUEUED, PAUSED, DRAINED, WRITTEN_OFF, SUSPENDED = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], ARGV[4]
local worker, level_s, prefix = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local QUEUES_FROM = 5
local LONGEST_S = 86400 -- what a clock that is wrong can claim at most

local clock = redis.call('TIME')
local NOW = tonumber(clock[1]) + tonumber(clock[2]) / 1000000

if worker ~= '' then
  if redis.call('HEXISTS', WRITTEN_OFF, worker) == 1 then return {'written off'} end
  if redis.call('HEXISTS', DRAINED, worker) == 1 then return {'drained'} end
  if redis.call('EXISTS', SUSPENDED) == 1 then return {'suspended'} end
end

-- Seconds since 1970 of RQ's '2026-01-31T12:00:00.123456Z' (days from civil, H. Hinnant's chrono algorithms).
local function epoch(iso)
  local year, month, day, hour, minute, second = string.match(iso, '^(%d+)-(%d+)-(%d+)T(%d+):(%d+):([%d.]+)')
  if not year then return NOW end
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  if month <= 2 then year = year - 1 end
  local era = math.floor(year / 400)
  local of_era = year - era * 400
  local of_year = math.floor((153 * (month + (month > 2 and -3 or 9)) + 2) / 5) + day - 1
  local days = era * 146097 + of_era * 365 + math.floor(of_era / 4) - math.floor(of_era / 100) + of_year - 719468
  return days * 86400 + tonumber(hour) * 3600 + tonumber(minute) * 60 + tonumber(second)
end

-- How long the first entry of a queue has waited, and its shard if it is ours; entries without a job are dropped.
local function waited(queue)
  for _ = 1, 1000 do
    local id = redis.call('LINDEX', queue, 0)
    if not id then return nil end
    local found = redis.pcall('HMGET', prefix .. id, 'ingestboard_shard', 'enqueued_at')
    if not found.err and redis.call('EXISTS', prefix .. id) == 1 then
      local member, enqueued_at = found[1], found[2]
      -- Our own entries go by this server's clock, a stranger's by the clock of its host.
      local at = member and tonumber(redis.call('ZSCORE', ENQUEUED, member))
      at = at or (enqueued_at and epoch(enqueued_at)) or NOW
      return math.min(math.max(0, NOW - at), LONGEST_S), member
    end
    if worker == '' then return nil end
    redis.call('LPOP', queue)
  end
  return nil
end

local queues = #KEYS - QUEUES_FROM
local best, best_waited, oldest, ours
for at = 1, queues do
  if redis.call('HEXISTS', PAUSED, ARGV[4 + at]) == 0 then
    local seconds, own = waited(KEYS[QUEUES_FROM + at])
    if seconds then
      if not oldest or seconds > oldest then oldest = seconds end
      seconds = seconds + (queues - at) * level_s
      if not best or seconds > best_waited then best, best_waited, ours = KEYS[QUEUES_FROM + at], seconds, own end
    end
  end
end
if not best then return {'empty'} end
if worker == '' then return {'oldest', tostring(oldest)} end
local id = redis.call('LPOP', best)
-- Should it get lost now, the janitor misses ours some seconds from now; RQ looks for its own in this list.
if ours then
  redis.call('ZADD', ENQUEUED, 'XX', string.format('%.6f', NOW), ours)
else
  redis.call('LPUSH', best .. ':intermediate', id)
end
redis.call('LPOP', BELL)
return {'taken', best, id}

-- What every transition script shares; put in front of each of them when it is loaded.
-- KEYS 1..21 as in tasks.ledger.keys.for_scripts; ARGV[1] is always the job's id.
-- Time is the server's (TIME), so that all hosts share one clock.
local JOB, CANCEL, EVENTS, DOCUMENTS, SHARDS, STAGES = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local REVISION, CHANGES, REMOVED, JOBS, LIVE, WAITING = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11], KEYS[12]
local FINAL, COUNTS, DAYS, ENQUEUED, LEASES, DELAYED = KEYS[13], KEYS[14], KEYS[15], KEYS[16], KEYS[17], KEYS[18]
local RATES, FACTS, FAILURES = KEYS[19], KEYS[20], KEYS[21]
local ID = ARGV[1]

local EVENTS_KEPT = 500
local FINAL_STATES = {canceled = true, completed = true, partial = true, failed = true}

local clock = redis.call('TIME')
local NOW = tonumber(clock[1]) + tonumber(clock[2]) / 1000000

local function stamp(seconds)
  return string.format('%.6f', seconds)
end

local function get(field)
  return redis.call('HGET', JOB, field) or ''
end

local function count(field)
  return tonumber(redis.call('HGET', JOB, field) or '0') or 0
end

local function set(...)
  redis.call('HSET', JOB, ...)
end

local function member(shard)
  return ID .. ':' .. shard
end

local function shard_row(shard)
  local raw = redis.call('HGET', SHARDS, shard)
  if not raw then return nil end
  return cjson.decode(raw)
end

local function save_shard(shard, row)
  redis.call('HSET', SHARDS, shard, cjson.encode(row))
end

local function event(text)
  redis.call('RPUSH', EVENTS, cjson.encode({at = stamp(NOW), text = text}))
  redis.call('LTRIM', EVENTS, -EVENTS_KEPT, -1)
end

-- A reader that asks "what changed since N" sees this job again.
local function touch()
  local revision = redis.call('INCR', REVISION)
  redis.call('ZADD', CHANGES, revision, ID)
  set('revision', revision, 'last_updated', stamp(NOW), 'touched_at', stamp(NOW))
  return revision
end

local function move(to)
  local from = get('state')
  if from == to then return end
  if from ~= '' then redis.call('HINCRBY', COUNTS, from, -1) end
  redis.call('HINCRBY', COUNTS, to, 1)
  set('state', to)
  if to == 'queued' then redis.call('ZADD', WAITING, stamp(NOW), ID) else redis.call('ZREM', WAITING, ID) end
  if FINAL_STATES[to] then
    redis.call('ZREM', LIVE, ID)
    redis.call('ZADD', FINAL, stamp(NOW), ID)
    redis.call('HINCRBY', DAYS, math.floor(NOW / 86400) .. ':' .. to, 1)
    set('ended_at', stamp(NOW), 'worker', '')
  else
    redis.call('ZREM', FINAL, ID)
    redis.call('ZADD', LIVE, get('created_at'), ID)
  end
end

-- A shard that nobody works on any more and that waits for nothing.
local function forget(shard)
  redis.call('ZREM', ENQUEUED, member(shard))
  redis.call('ZREM', LEASES, member(shard))
  redis.call('ZREM', DELAYED, member(shard))
end

local function hand_to_rq(shard, row, rq_id)
  row.state = 'queued'
  row.rq_id = rq_id
  save_shard(shard, row)
  redis.call('ZREM', LEASES, member(shard))
  redis.call('ZADD', ENQUEUED, stamp(NOW), member(shard))
end

-- Write a run's shards: the first of them go to RQ, the rest wait. How many there are.
local function plan(rows, window, rq_ids)
  local shards = 0
  for number, row in ipairs(rows) do
    if number <= window then
      hand_to_rq(number - 1, row, rq_ids[number])
    else
      row.state = 'waiting'
      save_shard(number - 1, row)
    end
    shards = number
  end
  set('shards_total', shards, 'shards_done', 0, 'next_shard', math.min(window, shards), 'running_shards', 0)
  return shards
end

local function forget_all_shards()
  for _, shard in ipairs(redis.call('HKEYS', SHARDS)) do forget(shard) end
end

local function took(seconds)
  return string.format('%.1f s', math.max(0, seconds))
end

-- Every part of a canceled job has stopped: close it and say how.
local function close_canceled(how)
  local asked = tonumber(get('stop_asked_at')) or NOW
  move('canceled')
  forget_all_shards()
  set('stopped_at', stamp(NOW), 'stop_how', how, 'running_shards', 0, 'stage', '', 'step_description', 'Canceled')
  event('Canceled ' .. how .. ', ' .. took(NOW - asked) .. ' after it was asked. Nothing of it was published; finished documents are kept for a retry.')
end

-- The work done so far, in thousandths of a document; percent never goes down within an attempt.
local function add_work(delta)
  local work = redis.call('HINCRBY', JOB, 'work', delta)
  local total = count('total_steps') * 1000
  if total <= 0 then return end
  local percent = math.floor(work / total * 1000) / 10
  if percent < 0 then percent = 0 end
  if percent > 99.9 then percent = 99.9 end
  if percent > (tonumber(get('percent')) or 0) then set('percent', percent) end
end

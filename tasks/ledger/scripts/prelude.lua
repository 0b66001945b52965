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
local LIVE_STATES = {queued = true, running = true, retrying = true, canceling = true}

local clock = redis.call('TIME')
local NOW = tonumber(clock[1]) + tonumber(clock[2]) / 1000000

local function stamp(seconds)
  return string.format('%.6f', seconds)
end

local function get(field)
  return redis.call('HGET', JOB, field) or ''
end

-- A whole number of the job; what somebody else wrote there and is none counts as nothing.
local function count(field)
  local value = tonumber(redis.call('HGET', JOB, field) or '0') or 0
  return value == value and math.abs(value) < 2^53 and value or 0
end

-- Seconds since 1970, or nil.
local function seconds(field)
  local value = tonumber(get(field))
  return value and value > 0 and value < 1e12 and value or nil
end

-- Count up in a hash; what is no number there is counted anew, since otherwise no job could go on.
local function add(key, field, by)
  local value = redis.pcall('HINCRBY', key, field, by)
  if type(value) == 'number' then return value end
  redis.call('HSET', key, field, by)
  return tonumber(by)
end

local function add_part(key, field, by)
  local value = redis.pcall('HINCRBYFLOAT', key, field, by)
  if type(value) == 'table' then redis.call('HSET', key, field, by) end
end

local function set(...)
  redis.call('HSET', JOB, ...)
end

local function member(shard)
  return ID .. ':' .. shard
end

-- A JSON object, its members of the types given, by name; nil when it is damaged.
local function decoded(raw, types)
  local well, row = pcall(cjson.decode, raw)
  if not well or type(row) ~= 'table' then return nil end
  for name, wanted in pairs(types) do
    if type(row[name]) ~= wanted then row[name] = nil end
  end
  return row
end

local SHARD = {state = 'string', rq_id = 'string', worker = 'string', token = 'string', attempt = 'number', work = 'number',
    tries = 'number', documents = 'table'}
local DOCUMENT = {name = 'string', state = 'string', error = 'string', chunks = 'number', seconds = 'number', tries = 'number',
    size_bytes = 'number', cached = 'boolean'}

local DOCUMENTS_MOST = 5000 -- of a shard; far more than are ever put into one
local SHARD_STATES = {waiting = true, queued = true, running = true, done = true, canceled = true}

-- nil where there is none, or one that is damaged: nothing could come of it.
local function shard_row(shard)
  local raw = redis.call('HGET', SHARDS, shard)
  local row = raw and decoded(raw, SHARD)
  if not row or not SHARD_STATES[row.state] or (row.state == 'queued' and not row.rq_id) then return nil end
  if row.attempt and (row.attempt ~= math.floor(row.attempt) or math.abs(row.attempt) > 2^40) then return nil end
  if row.state == 'running' and not row.attempt then return nil end
  if row.documents and #row.documents > DOCUMENTS_MOST then return nil end
  return row
end

-- And the JSON that it was.
local function document_row(number)
  if type(number) ~= 'number' and type(number) ~= 'string' then return nil end
  local raw = redis.call('HGET', DOCUMENTS, number)
  return raw and decoded(raw, DOCUMENT) or nil, raw
end

-- Whether a worker still owns a shard. Its fence is '<attempt>' or, of the claim itself, '<attempt>:<token>': a server
-- that lost its last second may give an attempt out twice, and never a token.
local function owns(row, fence)
  if not row or row.state ~= 'running' then return false end
  local attempt, token = string.match(fence, '^(%d+):?(.*)$')
  return tostring(row.attempt) == attempt and (token == '' or token == row.token)
end

local function save_shard(shard, row)
  redis.call('HSET', SHARDS, shard, cjson.encode(row))
end

local function event(text)
  redis.call('RPUSH', EVENTS, cjson.encode({at = stamp(NOW), text = text}))
  redis.call('LTRIM', EVENTS, -EVENTS_KEPT, -1)
end

-- A reader that asks "what changed since N" sees this job again.
local function next_revision()
  local revision = redis.pcall('INCR', REVISION)
  if type(revision) == 'number' and revision > 0 and revision < 2^53 then return revision end
  -- Damaged: it goes on above all that was given out.
  local top = tonumber(redis.call('ZREVRANGEBYSCORE', CHANGES, 2^52, '-inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]) or 0
  revision = math.floor(math.max(0, top)) + 10001
  redis.call('SET', REVISION, string.format('%.0f', revision))
  return revision
end

local function touch()
  local revision = next_revision()
  redis.call('ZADD', CHANGES, revision, ID)
  set('revision', revision, 'last_updated', stamp(NOW), 'touched_at', stamp(NOW))
  return revision
end

-- What happened, for the history; the janitor rolls it up, and without one the oldest go.
local FACTS_KEPT = 100000
local function fact(what, ...)
  redis.call('XADD', FACTS, 'MAXLEN', '~', FACTS_KEPT, '*', 'what', what, 'collection', get('collection'), 'kind', get('kind'), ...)
end

local function documents_fact(ended, chunks, cached, failed)
  fact('documents', 'ended', ended, 'chunks', chunks, 'cached', cached, 'failed', failed)
end

-- The first bytes of a text, without half a character at its end.
local function short(text, most)
  if #text <= most then return text end
  return (string.gsub(string.sub(text, 1, most), '[\192-\255][\128-\191]*$', ''))
end

-- A document (its number and name) or the job itself ('', '') failed: what the board groups by cause.
local FAILURES_KEPT = 20000
local function failure(number, name, stage, reason)
  local ending = string.lower(string.match(name or '', '%.(%w+)$') or '')
  redis.call('XADD', FAILURES, 'MAXLEN', '~', FAILURES_KEPT, '*', 'job', ID, 'attempt', count('attempt'), 'document', number,
      'name', short(name or '', 200), 'ending', #ending <= 8 and ending or '', 'stage', stage, 'error', short(reason or '', 500),
      'collection', get('collection'))
end

local function move(to)
  local from = get('state')
  if from == to then return end
  if from == 'queued' and to == 'running' then
    fact('started', 'wait', stamp(math.max(0, NOW - tonumber(redis.call('ZSCORE', WAITING, ID) or NOW))))
  elseif FINAL_STATES[to] then
    local started = seconds('started_at')
    fact('ended', 'state', to, 'run', started and stamp(math.max(0, NOW - started)) or '')
  end
  if from ~= '' then add(COUNTS, from, -1) end
  add(COUNTS, to, 1)
  set('state', to)
  if to == 'queued' then redis.call('ZADD', WAITING, stamp(NOW), ID) else redis.call('ZREM', WAITING, ID) end
  if FINAL_STATES[to] then
    redis.call('ZREM', LIVE, ID)
    redis.call('ZADD', FINAL, stamp(NOW), ID)
    add(DAYS, math.floor(NOW / 86400) .. ':' .. to, 1)
    set('ended_at', stamp(NOW), 'worker', '')
  else
    redis.call('ZREM', FINAL, ID)
    redis.call('ZADD', LIVE, stamp(seconds('created_at') or NOW), ID)
  end
end

-- A shard that nobody works on any more and that waits for nothing.
local function forget(shard)
  redis.call('ZREM', ENQUEUED, member(shard))
  redis.call('ZREM', LEASES, member(shard))
  redis.call('ZREM', DELAYED, member(shard))
end

local function hand_to_rq(shard, row, rq_id)
  row = row or {tries = 0}
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

-- Every part of a job that was to stop has stopped: close it and say how.
local function close_stopped(how)
  local asked = seconds('stop_asked_at') or NOW
  local limit, stage = get('stop_limit_s'), get('stage')
  set('stopped_at', stamp(NOW), 'stop_how', how, 'running_shards', 0, 'stage', '')
  if limit ~= '' then
    move('failed')
    forget_all_shards()
    set('step_description', 'Failed', 'error', 'It ran longer than its time limit of ' .. limit ..
        ' s and was stopped; finished documents are kept, so a retry goes on from there.')
    failure('', '', stage, get('error'))
    event('Failed: ' .. get('error'))
    return
  end
  move('canceled')
  forget_all_shards()
  set('step_description', 'Canceled')
  local kept = count('documents_total') > 0 and ' Nothing of it was published; finished documents are kept for a retry.'
      or ' What it had done by then stays done.'
  event('Canceled ' .. how .. ', ' .. took(NOW - asked) .. ' after it was asked.' .. kept)
end

-- An attempt that runs longer than the job's time limit is stopped as a cancel stops it; it ends as failed.
local function past_limit()
  local limit = tonumber(get('time_limit_s')) or 0
  if limit <= 0 or FINAL_STATES[get('state')] then return false end
  local started = seconds('started_at') or NOW
  return NOW - started > limit and get('committing') ~= '1' and redis.call('EXISTS', CANCEL) == 0
end

local function stop_for_limit()
  local limit = string.format('%g', tonumber(get('time_limit_s')))
  redis.call('SET', CANCEL, cjson.encode({by = 'its time limit', at = stamp(NOW), force = false}))
  set('stop_asked_at', stamp(NOW), 'stop_asked_by', 'its time limit', 'stopped_at', '', 'stop_how', '', 'stop_forced', '0',
      'stop_limit_s', limit)
  event('The time limit of ' .. limit .. ' s is over.')
  if count('running_shards') > 0 then
    move('canceling')
    set('step_description', 'Past its time limit, stopping at the next checkpoint')
  else
    close_stopped('between two parts')
  end
  touch()
end

-- The work done so far, in thousandths of a document; percent never goes down within an attempt.
local function add_work(delta)
  local work = add(JOB, 'work', delta)
  local total = count('total_steps') * 1000
  if total <= 0 then return end
  local percent = math.floor(work / total * 1000) / 10
  if percent < 0 then percent = 0 end
  if percent > 99.9 then percent = 99.9 end
  if percent > (tonumber(get('percent')) or 0) then set('percent', percent) end
end

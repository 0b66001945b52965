-- Report and check in one round trip: is this attempt still the owner, write, and is a cancel asked?
-- KEYS 1..21: see prelude.lua
-- ARGV 1 id, 2 shard, 3 attempt, 4 lease in seconds,
--      5 JSON {stage, description, work (thousandths of documents done by this shard so far), error,
--              documents: [[number, {state, error, chunks, cached, seconds, sha256}], ...],
--              stages: [[stage, seconds of work, seconds since it was entered first, since it was left last], ...], events: [text, ...]},
--      6 '1': ask for the commit point; after it a cancel comes too late
-- Reply {'fenced'}, {'cancel'} or {'ok', number of shards of this job at work, number of jobs that wait for a worker}
local shard = ARGV[2]
local row = shard_row(shard)
if not row or row.state ~= 'running' or tostring(row.attempt) ~= ARGV[3] then return {'fenced'} end
redis.call('ZADD', LEASES, stamp(NOW + tonumber(ARGV[4])), member(shard))
local report = cjson.decode(ARGV[5])
local urgent = false

local RATES_KEPT = 400 -- fields: about a hundred file endings
local HALVED_AT = 10000 -- documents of an ending, then its figures count half: a changed machine shows

-- What embedding documents of one ending takes here, for estimates.
local function learn(document)
  local ending = string.lower(string.match(document.name or '', '%.(%w+)$') or '')
  if #ending > 8 then ending = '' end
  if redis.call('HEXISTS', RATES, ending .. ':documents') == 0 and redis.call('HLEN', RATES) >= RATES_KEPT then return end
  local seen = redis.call('HINCRBY', RATES, ending .. ':documents', 1)
  redis.call('HINCRBYFLOAT', RATES, ending .. ':bytes', document.size_bytes or 0)
  redis.call('HINCRBYFLOAT', RATES, ending .. ':chunks', document.chunks or 0)
  redis.call('HINCRBYFLOAT', RATES, ending .. ':seconds', document.seconds or 0)
  if seen >= HALVED_AT then
    redis.call('HSET', RATES, ending .. ':documents', math.floor(seen / 2))
    for _, figure in ipairs({'bytes', 'chunks', 'seconds'}) do
      local field = ending .. ':' .. figure
      redis.call('HSET', RATES, field, string.format('%.4f', tonumber(redis.call('HGET', RATES, field)) / 2))
    end
  end
end

for _, change in ipairs(report.documents or {}) do
  local number, news = change[1], change[2]
  local raw = redis.call('HGET', DOCUMENTS, number)
  local document = raw and cjson.decode(raw)
  local before = document and document.state
  -- A document ends once an attempt: a report that arrives twice counts once.
  if document and before ~= 'completed' and before ~= 'failed' then
    for name, value in pairs(news) do document[name] = value end
    document.attempt = row.attempt
    redis.call('HSET', DOCUMENTS, number, cjson.encode(document))
    if document.state == 'completed' or document.state == 'failed' then
      if document.state == 'completed' then
        redis.call('HINCRBY', JOB, 'documents_done', 1)
        redis.call('HINCRBY', JOB, 'chunks', document.chunks or 0)
        if document.cached then redis.call('HINCRBY', JOB, 'documents_cached', 1) else learn(document) end
      else
        redis.call('HINCRBY', JOB, 'documents_failed', 1)
        event(document.name .. ' failed: ' .. (document.error or ''))
      end
      redis.call('HINCRBY', JOB, 'current_step', 1)
    end
  end
end
for _, change in ipairs(report.stages or {}) do
  redis.call('HSETNX', STAGES, change[1] .. ':first', stamp(NOW - change[3]))
  redis.call('HSET', STAGES, change[1] .. ':last', stamp(NOW - change[4]))
  redis.call('HINCRBYFLOAT', STAGES, change[1] .. ':work', string.format('%.4f', change[2]))
end
for _, text in ipairs(report.events or {}) do
  event(text)
  urgent = true
end
if report.work and report.work ~= (row.work or 0) then
  add_work(report.work - (row.work or 0))
  row.work = report.work
  save_shard(shard, row)
end
if report.stage and report.stage ~= '' and get('stage') ~= report.stage then
  set('stage', report.stage)
end
if report.description and report.description ~= '' then set('step_description', report.description) end
set('last_updated', stamp(NOW), 'worker', row.worker)

-- Readers hear of a job at most ten times a second, however many workers it has.
if urgent or ARGV[6] == '1' or NOW - (tonumber(get('touched_at')) or 0) >= 0.1 then touch() end

if redis.call('EXISTS', CANCEL) == 1 then return {'cancel'} end
if ARGV[6] == '1' then set('committing', '1') end
return {'ok', count('running_shards'), redis.call('ZCARD', WAITING)}

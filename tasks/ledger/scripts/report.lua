-- Report and check in one round trip: is this attempt still the owner, write, and is a cancel asked?
-- KEYS 1..21: see prelude.lua
-- ARGV 1 id, 2 shard, 3 fence (see owns), 4 lease in seconds,
--      5 JSON {stage, description, work (thousandths of documents done by this shard so far), error,
--              documents: [[number, {state, error, chunks, cached, seconds, sha256}], ...],
--              stages: [[stage, seconds of work, seconds since it was entered first, since it was left last], ...], events: [text, ...]},
--      6 '1': ask for the commit point; after it a cancel comes too late
-- Reply {'fenced'}, {'cancel'} or {'ok', number of shards of this job at work, number of jobs that wait for a worker}
local shard = ARGV[2]
local row = shard_row(shard)
if not owns(row, ARGV[3]) then return {'fenced'} end
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
  local seen = add(RATES, ending .. ':documents', 1)
  add_part(RATES, ending .. ':bytes', document.size_bytes or 0)
  add_part(RATES, ending .. ':chunks', document.chunks or 0)
  add_part(RATES, ending .. ':seconds', document.seconds or 0)
  if seen >= HALVED_AT then
    redis.call('HSET', RATES, ending .. ':documents', math.floor(seen / 2))
    for _, figure in ipairs({'bytes', 'chunks', 'seconds'}) do
      local field = ending .. ':' .. figure
      redis.call('HSET', RATES, field, string.format('%.4f', (tonumber(redis.call('HGET', RATES, field)) or 0) / 2))
    end
  end
end

local ended, ended_chunks, ended_cached, ended_failed = 0, 0, 0, 0
for _, change in ipairs(report.documents or {}) do
  local number, news = change[1], change[2]
  local document = document_row(number)
  local before = document and document.state
  -- A document ends once an attempt: a report that arrives twice counts once.
  if document and before ~= 'completed' and before ~= 'failed' then
    for name, value in pairs(news) do document[name] = value end
    document.attempt = row.attempt
    redis.call('HSET', DOCUMENTS, number, cjson.encode(document))
    if document.state == 'completed' or document.state == 'failed' then
      if document.state == 'completed' then
        add(JOB, 'documents_done', 1)
        add(JOB, 'chunks', document.chunks or 0)
        if document.cached then add(JOB, 'documents_cached', 1) else learn(document) end
        ended_chunks = ended_chunks + (document.chunks or 0)
        if document.cached then ended_cached = ended_cached + 1 end
      else
        add(JOB, 'documents_failed', 1)
        ended_failed = ended_failed + 1
        failure(number, document.name, report.stage and report.stage ~= '' and report.stage or get('stage'), document.error)
        event((document.name or 'A document') .. ' failed: ' .. (document.error or ''))
      end
      add(JOB, 'current_step', 1)
      ended = ended + 1
    end
  end
end
if ended > 0 then documents_fact(ended, ended_chunks, ended_cached, ended_failed) end
for _, change in ipairs(report.stages or {}) do
  redis.call('HSETNX', STAGES, change[1] .. ':first', stamp(NOW - change[3]))
  redis.call('HSET', STAGES, change[1] .. ':last', stamp(NOW - change[4]))
  add_part(STAGES, change[1] .. ':work', string.format('%.4f', change[2]))
end
for _, text in ipairs(report.events or {}) do
  event(text)
  urgent = true
end
local progressed = #(report.documents or {}) > 0
if report.work and report.work ~= (row.work or 0) then
  progressed = true
  add_work(report.work - (row.work or 0))
  row.work = report.work
  save_shard(shard, row)
end
if report.stage and report.stage ~= '' and get('stage') ~= report.stage then
  set('stage', report.stage)
  progressed = true
end
if progressed then set('progressed_at', stamp(NOW)) end
if report.description and report.description ~= '' then set('step_description', report.description) end
set('last_updated', stamp(NOW), 'worker', row.worker)

-- Readers hear of a job at most ten times a second, however many workers it has.
if urgent or ARGV[6] == '1' or math.abs(NOW - (seconds('touched_at') or 0)) >= 0.1 then touch() end

if past_limit() then stop_for_limit() end
if redis.call('EXISTS', CANCEL) == 1 then return {'cancel'} end
if ARGV[6] == '1' then set('committing', '1') end
return {'ok', count('running_shards'), redis.call('ZCARD', WAITING)}

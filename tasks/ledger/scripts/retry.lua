-- A final job becomes a new attempt, on the record. Compare-and-set on the attempt that the caller read.
-- KEYS 1..21: see prelude.lua
-- ARGV 1 id, 2 who asks, 3 attempt that the caller saw, 4 JSON array of document numbers to do again,
--      5 shards (JSON array of rows), 6 window, 7 JSON array of RQ ids
-- Reply {'gone'}, {'refused', state} or {'ok', new attempt}
local state = get('state')
if state == '' then return {'gone'} end
if not FINAL_STATES[state] or get('attempt') ~= ARGV[3] then return {'refused', state} end
local again, mended = 0, {}
for _, number in ipairs(cjson.decode(ARGV[4])) do
  local document = document_row(number)
  if document then
    if document.state == 'completed' then
      add(JOB, 'documents_done', -1)
      add(JOB, 'chunks', -(document.chunks or 0))
      if document.cached then add(JOB, 'documents_cached', -1) end
    elseif document.state == 'failed' then
      add(JOB, 'documents_failed', -1)
      mended[#mended + 1] = number
    end
    document.state, document.error, document.tries, document.chunks = 'queued', '', 0, 0
    document.cached, document.seconds = false, 0
    redis.call('HSET', DOCUMENTS, number, cjson.encode(document))
    again = again + 1
  end
end
if #mended > 0 or state == 'failed' then
  -- What failed so far fails no more: the documents, all of them beyond a few hundred, and the job itself.
  redis.call('XADD', FAILURES, 'MAXLEN', '~', FAILURES_KEPT, '*', 'job', ID, 'attempt', ARGV[3],
      'mended', #mended > 500 and '*' or table.concat(mended, ','))
end
forget_all_shards()
redis.call('DEL', SHARDS, STAGES, CANCEL)
local rq_ids = cjson.decode(ARGV[7])
local shards = plan(cjson.decode(ARGV[5]), tonumber(ARGV[6]), rq_ids)
local attempt = add(JOB, 'attempt', 1)
local finished = count('documents_done') + count('documents_failed')
redis.call('HDEL', JOB, 'started_at', 'ended_at', 'stop_asked_at', 'stop_asked_by', 'stopped_at', 'stop_how', 'stop_forced', 'stop_limit_s', 'progressed_at')
set('error', '', 'percent', 0, 'work', finished * 1000, 'current_step', finished, 'committing', '0',
    'stage', '', 'step_description', 'Waiting for a worker')
if shards == 0 then
  -- Every document is ready and only the publish is left to do.
  set('stage', 'publish', 'step_description', 'Waiting to publish')
  hand_to_rq('publish', {tries = 0}, rq_ids[1])
end
move('queued')
event(ARGV[2] .. ' retried ' .. again .. (again == 1 and ' document' or ' documents') .. ': attempt ' .. attempt .. '.')
touch()
return {'ok', attempt}

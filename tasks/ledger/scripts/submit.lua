-- Create jobs in state queued, each once per submission token.
-- KEYS 1..21: see prelude.lua; 22: the submission's key; then for each further job its own six keys and its submission's
-- ARGV seven for each job: 1 id, 2 fields (JSON object), 3 documents (JSON array of rows), 4 shards (JSON array of rows),
--      5 window: how many shards to hand to RQ now, 6 JSON array of that many RQ ids, 7 token or ''
-- Reply {'created', id, created at, revision} or {'known', id of the job that this token made}; for several a list of such
local function submit(ARGV, submission)
  -- The reply may be lost with its connection, and the same job asked for again.
  if get('state') ~= '' then return {'created', ID, get('created_at'), get('revision')} end
  if ARGV[7] ~= '' then
    local known = redis.call('GET', submission)
    if known then return {'known', known} end
    redis.call('SET', submission, ID, 'EX', 86400)
  end
  local fields = cjson.decode(ARGV[2])
  local pairs_of = {}
  for name, value in pairs(fields) do
    pairs_of[#pairs_of + 1] = name
    pairs_of[#pairs_of + 1] = value
  end
  set(unpack(pairs_of))
  -- A document that the current snapshot holds unchanged comes as completed; for a job of such there is only the publish.
  local total, known, chunks = 0, 0, 0
  for number, row in ipairs(cjson.decode(ARGV[3])) do
    redis.call('HSET', DOCUMENTS, number - 1, cjson.encode(row))
    total = total + 1
    if row.state == 'completed' then
      known = known + 1
      chunks = chunks + (row.chunks or 0)
    end
  end
  local rq_ids = cjson.decode(ARGV[6])
  -- A job without documents, such as a roll back, has its last step only.
  if plan(cjson.decode(ARGV[4]), tonumber(ARGV[5]), rq_ids) == 0 then
    hand_to_rq('publish', {tries = 0}, rq_ids[1])
  end
  -- A job that is made again after Redis forgot it keeps its place.
  local created = fields.created_at or stamp(NOW)
  set('id', ID, 'created_at', created, 'attempt', 1, 'percent', math.floor(known / (total + 1) * 1000) / 10, 'current_step', known, 'total_steps', total + 1,
      'documents_total', total, 'documents_done', known, 'documents_failed', 0, 'documents_cached', known, 'chunks', chunks,
      'stage', '', 'step_description', 'Waiting for a worker', 'worker', '', 'error', '', 'snapshot', '', 'work', known * 1000)
  redis.call('ZADD', JOBS, created, ID)
  move('queued')
  local what = total > 0 and (total .. (total == 1 and ' document' or ' documents') .. ' for ') or (fields.kind .. (fields.collection ~= '' and ' of ' or ''))
  event('Submitted by ' .. fields.owner .. ': ' .. what .. fields.collection .. '.')
  if fields.again then event(fields.again) end
  return {'created', ID, created, touch()}
end

if #ARGV == 7 then return submit(ARGV, KEYS[22]) end
local replies = {}
for job = 0, #ARGV / 7 - 1 do
  local own = 22 + 7 * (job - 1)
  if job > 0 then
    JOB, CANCEL, EVENTS, DOCUMENTS, SHARDS, STAGES = unpack(KEYS, own + 1, own + 6)
    ID = ARGV[7 * job + 1]
  end
  replies[#replies + 1] = submit({unpack(ARGV, 7 * job + 1, 7 * job + 7)}, KEYS[own + 7])
end
return replies

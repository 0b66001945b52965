-- Create a job in state queued, once per submission token.
-- KEYS 1..21: see prelude.lua; 22: the submission's key
-- ARGV 1 id, 2 fields (JSON object), 3 documents (JSON array of rows), 4 shards (JSON array of rows),
--      5 window: how many shards to hand to RQ now, 6 JSON array of that many RQ ids, 7 token or ''
-- Reply {'created', id} or {'known', id of the job that this token made}
if ARGV[7] ~= '' then
  local known = redis.call('GET', KEYS[22])
  if known then return {'known', known} end
  redis.call('SET', KEYS[22], ID, 'EX', 86400)
end
local fields = cjson.decode(ARGV[2])
for name, value in pairs(fields) do set(name, value) end
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
set('id', ID, 'created_at', stamp(NOW), 'attempt', 1, 'percent', math.floor(known / (total + 1) * 1000) / 10, 'current_step', known, 'total_steps', total + 1,
    'documents_total', total, 'documents_done', known, 'documents_failed', 0, 'documents_cached', known, 'chunks', chunks,
    'stage', '', 'step_description', 'Waiting for a worker', 'worker', '', 'error', '', 'snapshot', '', 'work', known * 1000)
redis.call('ZADD', JOBS, stamp(NOW), ID)
move('queued')
local what = total > 0 and (total .. (total == 1 and ' document' or ' documents') .. ' for ') or (fields.kind .. ' of ')
event('Submitted by ' .. fields.owner .. ': ' .. what .. fields.collection .. '.')
touch()
return {'created', ID}

-- A worker takes one shard (a number, or 'publish'): compare-and-set on the RQ id that was handed out.
-- KEYS 1..21: see prelude.lua; 22 jobs with a time limit, 23 workers written off
-- ARGV 1 id, 2 shard, 3 RQ id, 4 worker, 5 lease in seconds, 6 token of this claim: asked again with it, it has the shard
-- Reply {'no', reason} or {'ok', attempt, shard row, then the rows of its documents that are to be done as number, row, ...}
local state = get('state')
if state == '' then return {'no', 'the job is gone'} end
if FINAL_STATES[state] or state == 'canceling' or redis.call('EXISTS', CANCEL) == 1 then
  return {'no', 'the job is ' .. state}
end
if past_limit() then
  stop_for_limit()
  return {'no', 'the job is past its time limit'}
end
if redis.call('HEXISTS', KEYS[23], ARGV[4]) == 1 then return {'no', 'the worker was written off'} end
local shard = ARGV[2]
local row = shard_row(shard)
-- The reply to a claim may be lost with its connection.
local again = row and row.state == 'running' and row.token == ARGV[6]
if not again and (not row or row.state ~= 'queued' or row.rq_id ~= ARGV[3]) then
  return {'no', 'another delivery of this shard is current'}
end
local attempt = again and row.attempt or math.max(1, count('attempt'))
row.state, row.attempt, row.worker, row.token = 'running', attempt, ARGV[4], ARGV[6]
save_shard(shard, row)
redis.call('ZREM', ENQUEUED, member(shard))
redis.call('ZADD', LEASES, stamp(NOW + tonumber(ARGV[5])), member(shard))
if state ~= 'running' then
  move('running')
  if get('started_at') == '' then
    set('started_at', stamp(NOW))
    local limit = tonumber(get('time_limit_s')) or 0
    if limit > 0 then redis.call('ZADD', KEYS[22], stamp(NOW + limit), ID) end
  end
  event('Started on ' .. ARGV[4] .. ', attempt ' .. attempt .. '.')
end
if not again then add(JOB, 'running_shards', 1) end
set('worker', ARGV[4], 'progressed_at', stamp(NOW))
touch()
local reply = {'ok', tostring(attempt), cjson.encode(row)}
for _, number in ipairs(row.documents or {}) do
  local document, raw = document_row(number)
  if document and (document.state == 'queued' or document.state == 'running') then
    reply[#reply + 1] = tostring(number)
    reply[#reply + 1] = raw -- what is of another type in it, its reader leaves out
  elseif raw and not document then
    -- Damaged: it fails, so that the job ends as what it is.
    redis.call('HSET', DOCUMENTS, number, cjson.encode({name = 'document ' .. (number + 1), state = 'failed', attempt = attempt,
        error = 'The record of this document is damaged; submit it again.'}))
    add(JOB, 'documents_failed', 1)
    add(JOB, 'current_step', 1)
  end
end
return reply

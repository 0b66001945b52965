-- A worker takes one shard (a number, or 'publish'): compare-and-set on the RQ id that was handed out.
-- KEYS 1..21: see prelude.lua
-- ARGV 1 id, 2 shard, 3 RQ id, 4 worker, 5 lease in seconds
-- Reply {'no', reason} or {'ok', attempt, shard row, then the rows of its documents that are to be done as number, row, ...}
local state = get('state')
if state == '' then return {'no', 'the job is gone'} end
if FINAL_STATES[state] or state == 'canceling' or redis.call('EXISTS', CANCEL) == 1 then
  return {'no', 'the job is ' .. state}
end
local shard = ARGV[2]
local row = shard_row(shard)
if not row or row.state ~= 'queued' or row.rq_id ~= ARGV[3] then
  return {'no', 'another delivery of this shard is current'}
end
local attempt = count('attempt')
row.state, row.attempt, row.worker = 'running', attempt, ARGV[4]
save_shard(shard, row)
redis.call('ZREM', ENQUEUED, member(shard))
redis.call('ZADD', LEASES, stamp(NOW + tonumber(ARGV[5])), member(shard))
if state ~= 'running' then
  move('running')
  if get('started_at') == '' then set('started_at', stamp(NOW)) end
  event('Started on ' .. ARGV[4] .. ', attempt ' .. attempt .. '.')
end
redis.call('HINCRBY', JOB, 'running_shards', 1)
set('worker', ARGV[4])
touch()
local reply = {'ok', tostring(attempt), cjson.encode(row)}
for _, number in ipairs(row.documents or {}) do
  local raw = redis.call('HGET', DOCUMENTS, number)
  if raw then
    local document = cjson.decode(raw)
    if document.state == 'queued' or document.state == 'running' then
      reply[#reply + 1] = tostring(number)
      reply[#reply + 1] = raw
    end
  end
end
return reply

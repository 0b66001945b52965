-- A worker is given up: its shard gets a new attempt and a new delivery id, so that neither its work horse nor its parent
-- can write when they wake; and a lease that is over, so that the janitor takes it back.
-- KEYS 1..21: see prelude.lua
-- ARGV 1 id, 2 shard, 3 worker, 4 new RQ id
-- Reply {'none'} when it has that shard no more, or {'ok', new attempt, attempt before}
local shard = ARGV[2]
local row = shard_row(shard)
if not row or row.state ~= 'running' or row.worker ~= ARGV[3] then return {'none'} end
local before = row.attempt
row.attempt = add(JOB, 'attempt', 1)
row.rq_id, row.written_off = ARGV[4], true
save_shard(shard, row)
redis.call('ZADD', LEASES, 0, member(shard))
event('Worker ' .. ARGV[3] .. ' was written off; its part of the job goes on elsewhere.')
touch()
return {'ok', row.attempt, before}

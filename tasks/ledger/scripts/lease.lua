-- A worker's parent says that a shard is still in hand. One that by now belongs to another delivery gets no more time.
-- KEYS 1..21: see prelude.lua
-- ARGV 1 id, 2 shard, 3 RQ id of the delivery in hand, 4 lease in seconds
-- Reply {'fenced'} or {'ok'}
local shard = ARGV[2]
local row = shard_row(shard)
if not row or row.state ~= 'running' or row.rq_id ~= ARGV[3] then return {'fenced'} end
redis.call('ZADD', LEASES, stamp(NOW + tonumber(ARGV[4])), member(shard))
-- A work horse that reports nothing is past its limit all the same.
if past_limit() then stop_for_limit() end
return {'ok'}

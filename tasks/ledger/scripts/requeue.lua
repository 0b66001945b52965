-- A shard that RQ was given and does not have any more is handed over again, under a new RQ id.
-- KEYS 1..21: see prelude.lua
-- ARGV 1 id, 2 shard, 3 RQ id that was lost, 4 new RQ id
-- Reply {'none'} when it is no longer waiting under the old id, else {'enqueue', shard, RQ id}
local shard = ARGV[2]
local row = shard_row(shard)
local state = get('state')
if not row or row.state ~= 'queued' or state == '' or FINAL_STATES[state] then
  forget(shard)
  return {'none'}
end
if row.rq_id ~= ARGV[3] then return {'none'} end
redis.call('ZREM', DELAYED, member(shard))
hand_to_rq(shard, row, ARGV[4])
return {'enqueue', shard, ARGV[4]}

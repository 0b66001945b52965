-- A live job moves to another queue, its waiting deliveries with it. One that a worker has taken already goes on there.
-- KEYS 1..21: see prelude.lua; 22 list of the queue that it moves to, 23 RQ's set of queues, 24.. lists of all queues
-- ARGV 1 id, 2 who asks, 3 new priority, 4 name of the new queue, 5 prefix of RQ's job hashes
-- Reply {'gone'}, {'refused', state}, {'same', state} or {'ok', state, priority before, deliveries moved}
local state = get('state')
if state == '' then return {'gone'} end
if not LIVE_STATES[state] or state == 'canceling' then return {'refused', state} end
local before = get('priority')
if before == ARGV[3] then return {'same', state} end
local moved = 0
local shards = redis.call('HKEYS', SHARDS)
table.sort(shards, function(one, other) return (tonumber(one) or 0) < (tonumber(other) or 0) end)
for _, shard in ipairs(shards) do
  local row = shard_row(shard)
  if row and row.state == 'queued' and row.rq_id then
    for list = 24, #KEYS do
      if KEYS[list] ~= KEYS[22] and redis.call('LREM', KEYS[list], 1, row.rq_id) > 0 then
        -- A publish has only to land: it goes to the front, as where it was delivered.
        redis.call(shard == 'publish' and 'LPUSH' or 'RPUSH', KEYS[22], row.rq_id)
        redis.call('HSET', ARGV[5] .. row.rq_id, 'origin', ARGV[4])
        moved = moved + 1
        break
      end
    end
  end
end
if moved > 0 then redis.call('SADD', KEYS[23], KEYS[22]) end
set('priority', ARGV[3])
event(ARGV[2] .. ' moved it from priority ' .. (before ~= '' and before or 'default') .. ' to ' .. ARGV[3] .. '.')
touch()
return {'ok', state, before, moved}

-- A final job leaves the board, with everything kept about it. Its documents' artifacts stay.
-- KEYS 1..21: see prelude.lua
-- ARGV 1 id
-- Reply {'gone'}, {'refused', state} or {'ok'}
local state = get('state')
if state == '' and redis.call('ZSCORE', JOBS, ID) == false then return {'gone'} end
if state ~= '' and not FINAL_STATES[state] then return {'refused', state} end
forget_all_shards()
if state ~= '' then add(COUNTS, state, -1) end
redis.call('DEL', JOB, CANCEL, EVENTS, DOCUMENTS, SHARDS, STAGES)
redis.call('ZREM', JOBS, ID)
redis.call('ZREM', LIVE, ID)
redis.call('ZREM', WAITING, ID)
redis.call('ZREM', FINAL, ID)
redis.call('ZREM', CHANGES, ID)
local revision = next_revision()
redis.call('ZADD', REMOVED, revision, ID)
redis.call('ZREMRANGEBYRANK', REMOVED, 0, -10001)
return {'ok'}

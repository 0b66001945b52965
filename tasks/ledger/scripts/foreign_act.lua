-- Put RQ jobs back into their queue, or delete them, in the data structures of RQ 2: all that belongs to one job in one
-- step. What is not the caller's to move is left as it is and said.
-- KEYS 1 the queue's list, 2 what was taken from it and not started, 3 started, 4 failed, 5 finished, 6 deferred,
--      7 scheduled, 8 canceled: its registries, 9 the set of all queues
-- ARGV 1 requeue | delete, 2 name of the queue, 3 now as RQ writes it,
--      4 prefix of job hashes, 5 of results, 6 of sets of executions, 7 of executions, 8 of worker hashes, 9 of groups,
--      10 prefix of our own jobs, 11... ids
-- Reply for each id 'ok', or why not: 'gone' | 'damaged' | 'elsewhere:<queue>' | 'ours:<job>' | 'state:<status>' |
--      'started:<worker>'
local action, queue, now = ARGV[1], ARGV[2], ARGV[3]
-- An empty text as RQ stores it: deflated (RFC 1950).
local nothing = '\120\156\003\000\000\000\000\001'

local function ask(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then return nil end
  return reply
end

-- The two colons are RQ's.
local function dependencies(id)
  return ARGV[4] .. ':' .. id .. ':dependencies'
end

local function registered(id)
  for at = 4, 8 do
    if ask('ZSCORE', KEYS[at], id) then return true end
  end
  return false
end

-- Our own deliveries are moved by the ledger's scripts alone.
local function ours(key)
  if (ask('HSTRLEN', key, 'description') or 0) > 200 then return nil end
  local job = string.match(ask('HGET', key, 'description') or '', '^%w+ of job ([%w_-]+)$')
  if job and redis.call('EXISTS', ARGV[10] .. job) == 1 then return job end
  return nil
end

local function requeue(id, key)
  if (ask('HSTRLEN', key, 'data') or 0) == 0 then
    if ask('EXISTS', key) == 1 then return 'damaged' end
    return 'gone'
  end
  if (ask('ZREM', KEYS[4], id) or 0) + (ask('ZREM', KEYS[8], id) or 0) == 0 then
    return 'state:' .. (ask('HGET', key, 'status') or '')
  end
  redis.call('HSET', key, 'status', 'queued', 'origin', queue, 'enqueued_at', now, 'started_at', '', 'ended_at', '', 'exc_info', nothing)
  -- RQ's default; its workers need a number here.
  redis.call('HSETNX', key, 'timeout', '180')
  -- The record of a failed job expires; one that waits must not. Its own time to live starts again.
  local lives = tonumber(ask('HGET', key, 'ttl') or '')
  for _, one in ipairs({key, key .. ':dependents', dependencies(id)}) do
    redis.call('PERSIST', one)
    if lives and lives > 0 then redis.call('EXPIRE', one, math.floor(lives)) end
  end
  redis.call('SADD', KEYS[9], KEYS[1])
  redis.call('RPUSH', KEYS[1], id)
  return 'ok'
end

local function delete(id, key)
  local status = ask('HGET', key, 'status') or ''
  local worker = ask('HGET', key, 'worker_name') or ''
  if status == 'started' and worker ~= '' and ask('HGET', ARGV[8] .. worker, 'current_job') == id then
    return 'started:' .. worker
  end
  local removed = 0
  -- A list is searched from its head: only for what should be in it.
  if status == 'queued' or status == '' then removed = removed + (ask('LREM', KEYS[1], 1, id) or 0) end
  removed = removed + (ask('LREM', KEYS[2], 1, id) or 0)
  for at = 4, 8 do removed = removed + (ask('ZREM', KEYS[at], id) or 0) end
  removed = removed + (ask('ZREM', KEYS[3], id) or 0)
  for _, execution in ipairs(ask('ZRANGE', ARGV[6] .. id, 0, -1) or {}) do
    removed = removed + (ask('ZREM', KEYS[3], id .. ':' .. execution) or 0)
    redis.call('DEL', ARGV[7] .. id .. ':' .. execution)
  end
  local group = ask('HGET', key, 'group_id') or ''
  if group ~= '' then ask('SREM', ARGV[9] .. group, id) end
  for _, dependency in ipairs(ask('SMEMBERS', dependencies(id)) or {}) do
    ask('SREM', ARGV[4] .. dependency .. ':dependents', id)
  end
  removed = removed + redis.call('DEL', key, key .. ':dependents', dependencies(id), ARGV[5] .. id, ARGV[6] .. id)
  return removed > 0 and 'ok' or 'gone'
end

local reply = {}
for at = 11, #ARGV do
  local id = ARGV[at]
  local key = ARGV[4] .. id
  local origin = ask('HGET', key, 'origin') or ''
  local job = ours(key)
  local answer
  if job then
    answer = 'ours:' .. job
  elseif origin ~= '' and origin ~= queue and not registered(id) then
    answer = 'elsewhere:' .. origin
  elseif action == 'requeue' then
    answer = requeue(id, key)
  else
    answer = delete(id, key)
  end
  reply[#reply + 1] = answer
end
return reply

-- One RQ job as it is stored: its hash, its results, its links and where it is registered. Reads only.
-- A key that a script declares takes the right to write it: what is only read is named among the arguments.
-- Twelve keys in front of the arguments: 1 its hash, 2 its results, 3 its dependents, 4 its dependencies, 5 its executions, 6 its queue's list,
--      7 started, 8 failed, 9 finished, 10 deferred, 11 scheduled, 12 canceled: its queue's registries
-- Then ARGV, counted from 1: 1 id, 2 most bytes of a value, 3 prefix of job hashes, 4 prefix of worker hashes, 5 prefix of executions,
--      6 most links, 7 how deep to look for it in the queue, 8... fields
-- Reply {type of the hash, milliseconds it lives or -1, bytes of its data, {value or '', ...}, {{result id, field, value, ...}, ...},
--      {dependency, its status, ...}, number of dependents, {dependent, its status, ...}, rank in its queue or -1,
--      {score or '', ...} of the keys 7 to 12, last heartbeat of its worker or '', what its worker is at or ''}
local READ = {}
for at = 1, 12 do READ[at] = table.remove(ARGV, 1) end
local ID, most, jobs, links = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[6])

local function ask(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then return nil end
  return reply
end

local function value(key, name)
  local size = ask('HSTRLEN', key, name) or 0
  if size == 0 then return '' end
  if size > most then return '(' .. size .. ' bytes, too long to be shown)' end
  return ask('HGET', key, name) or ''
end

local function linked(key)
  local found = {}
  local reply = ask('SSCAN', key, '0', 'COUNT', links)
  for at, id in ipairs(reply and reply[2] or {}) do
    if at > links then break end
    found[#found + 1] = string.sub(id, 1, most)
    found[#found + 1] = value(jobs .. id, 'status')
  end
  return found
end

local values = {}
for at = 8, #ARGV do values[#values + 1] = value(READ[1], ARGV[at]) end

local results = {}
for _, entry in ipairs(ask('XREVRANGE', READ[2], '+', '-', 'COUNT', 10) or {}) do
  local row = {entry[1]}
  for at = 1, #entry[2], 2 do
    -- What the job returned is pickled: it is never even read.
    if entry[2][at] ~= 'return_value' and #entry[2][at + 1] <= most then
      row[#row + 1] = entry[2][at]
      row[#row + 1] = entry[2][at + 1]
    end
  end
  results[#results + 1] = row
end

local scores = {ask('ZSCORE', READ[7], ID) or ''}
for _, execution in ipairs(ask('ZRANGE', READ[5], 0, 9) or {}) do
  local score = ask('ZSCORE', READ[7], ID .. ':' .. execution)
  if score then scores[1] = score end
end
for at = 8, 12 do scores[#scores + 1] = ask('ZSCORE', READ[at], ID) or '' end

local kind = ask('TYPE', READ[1])
local worker = ARGV[4] .. value(READ[1], 'worker_name')
local rank = ask('LPOS', READ[6], ID, 'MAXLEN', ARGV[7])
return {
  type(kind) == 'table' and kind.ok or kind or 'none',
  ask('PTTL', READ[1]) or -1,
  ask('HSTRLEN', READ[1], 'data') or 0,
  values,
  results,
  linked(READ[4]),
  ask('SCARD', READ[3]) or 0,
  linked(READ[3]),
  rank or -1,
  scores,
  value(worker, 'last_heartbeat'),
  value(worker, 'current_job'),
}

-- One page of an RQ list or registry, by rank, with what a row shows of each job. Reads only; RQ's own cleanup, which
-- can fail jobs, is not run. What is too long stays where it is, what has the wrong type reads as missing.
-- A key that a script declares takes the right to write it: what is only read is named among the arguments.
-- ARGV 0 the list of a queue, or the sorted set of a registry; then, counted from 1: 1 list | up | down | started (a sorted set, upwards, of '<job>:<execution>'), 2 first rank, 3 last rank,
--      4 prefix of RQ's job hashes, 5 most bytes of a value, 6... fields
-- Reply {total, {member, job id, 1 if there is such a job, score or '', value or '', ...}, ...}
local SOURCE = table.remove(ARGV, 1)
local kind, first, last, prefix, most = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])

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

local total, members = 0, {}
if kind == 'list' then
  total = ask('LLEN', SOURCE) or 0
  for _, member in ipairs(ask('LRANGE', SOURCE, first, last) or {}) do members[#members + 1] = {member, ''} end
else
  total = ask('ZCARD', SOURCE) or 0
  local found = ask(kind == 'down' and 'ZREVRANGE' or 'ZRANGE', SOURCE, first, last, 'WITHSCORES') or {}
  for at = 1, #found, 2 do members[#members + 1] = {found[at], found[at + 1]} end
end

local reply = {total}
for _, pair in ipairs(members) do
  local id = pair[1]
  if kind == 'started' and ask('EXISTS', prefix .. id) ~= 1 then id = string.match(id, '^(.*):[^:]*$') or id end
  local key = prefix .. id
  local row = {string.sub(pair[1], 1, most), string.sub(id, 1, most), ask('HLEN', key) and ask('EXISTS', key) or 0, pair[2]}
  for at = 6, #ARGV do row[#row + 1] = value(key, ARGV[at]) end
  reply[#reply + 1] = row
end
return reply

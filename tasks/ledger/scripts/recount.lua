-- The number of jobs in each state, against the jobs: what differs, as state, counted, true number, ...; set right when
-- asked. Looks at every job, up to the most that may be looked at in one go; beyond that at the sums alone.
-- KEYS 1 jobs, 2 counts, 3 live, 4 waiting, 5 final
-- ARGV 1 '1' to set right, 2 jobs that may be looked at, 3 prefix of the jobs' records
-- Reply {state, counted, true number, ...}
local total = redis.call('ZCARD', KEYS[1])
local counted, sum = {}, 0
local found = redis.call('HGETALL', KEYS[2])
for at = 1, #found, 2 do
  -- What is no whole number can be no number of jobs.
  counted[found[at]] = string.match(found[at + 1], '^%d+$') and #found[at + 1] < 16 and tonumber(found[at + 1]) or -1
  sum = sum + counted[found[at]]
end
local agree = sum == total and (counted.queued or 0) == redis.call('ZCARD', KEYS[4])
  and sum - (counted.completed or 0) - (counted.partial or 0) - (counted.failed or 0) - (counted.canceled or 0) == redis.call('ZCARD', KEYS[3])
if agree and total > tonumber(ARGV[2]) then return {} end
local truly = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local state = redis.call('HGET', ARGV[3] .. id, 'state')
  if state then truly[state] = (truly[state] or 0) + 1 end
end
local reply, seen = {}, {}
for _, of in ipairs({counted, truly}) do
  for state, _ in pairs(of) do
    if not seen[state] and (counted[state] or 0) ~= (truly[state] or 0) then
      reply[#reply + 1] = state
      reply[#reply + 1] = tostring(counted[state] or 0)
      reply[#reply + 1] = tostring(truly[state] or 0)
      if ARGV[1] == '1' then redis.call('HSET', KEYS[2], state, truly[state] or 0) end
    end
    seen[state] = true
  end
end
return reply

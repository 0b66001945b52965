-- May an embedder be called now? If so, the call is counted: one request, and its tokens. Shared by all workers.
-- A virtual clock for each limit says up to when its minute is used (the generic cell rate algorithm, ITU-T I.371):
-- a call goes when that lies in the past, and moves it on by what it costs. Three seconds that nobody used may be
-- caught up with, and 57 of 60 seconds are given out, so that no 60 seconds hold more requests than the limit, or more
-- tokens than the limit and one call.
-- KEYS 1 hash of the embedder's limits
-- ARGV 1 requests a minute, 2 tokens a minute (0: no limit), 3 tokens of this call
-- Reply milliseconds to wait; 0: go, it is counted
local SPARE, GIVEN_OUT, LONGEST_S = 3, 57, 86400
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local costs = {requests = 1, tokens = tonumber(ARGV[3])}
local limits = {requests = tonumber(ARGV[1]), tokens = tonumber(ARGV[2])}

local used, wait, last = {}, 0, now
for name, limit in pairs(limits) do
  if limit > 0 then
    local until_then = tonumber(redis.call('HGET', KEYS[1], name) or '0') or 0
    if not (until_then < now + LONGEST_S) then until_then = 0 end -- nobody who called an embedder wrote that
    used[name] = math.max(until_then, now - SPARE)
    wait = math.max(wait, used[name] - now)
  end
end
if wait > 0 then return math.ceil(wait * 1000) end
for name, since in pairs(used) do
  local until_then = since + costs[name] * 60 / limits[name] * 60 / GIVEN_OUT
  redis.call('HSET', KEYS[1], name, string.format('%.6f', until_then))
  last = math.max(last, until_then)
end
redis.call('PEXPIRE', KEYS[1], math.ceil((last - now + SPARE) * 1000))
return 0

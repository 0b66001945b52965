-- Say that somebody looks at a job, and learn who else does. Names go when they were not said again in time.
-- KEYS 1 zset of the job's presence
-- ARGV 1 name, 2 seconds that a name stays, 3 how many names are kept at most
-- Reply the names, the one who looked last first
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local stamp = string.format('%.6f', now)
local said = redis.pcall('ZADD', KEYS[1], stamp, ARGV[1])
if type(said) == 'table' then -- of another type, and so not of our making
  redis.call('DEL', KEYS[1])
  redis.call('ZADD', KEYS[1], stamp, ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.6f', now - tonumber(ARGV[2])))
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[3]))
redis.call('EXPIRE', KEYS[1], math.ceil(tonumber(ARGV[2])) + 1)
return redis.call('ZREVRANGE', KEYS[1], 0, tonumber(ARGV[3]) - 1)

-- Renew or give up a collection's publish lock, if it is still ours.
-- KEYS 1 lock; ARGV 1 token, 2 milliseconds to renew for, or '0' to give it up. Reply 1 or 0
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then return redis.call('DEL', KEYS[1]) end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])

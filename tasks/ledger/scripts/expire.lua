-- A job whose time limit may be over: stop it if it is, also when nobody has any of it in hand.
-- KEYS 1..21: see prelude.lua; 22 jobs with a time limit
-- ARGV 1 id
-- Reply {'later'}, {'none'} when there is nothing to stop, or {'ok', state}
local limit, started = tonumber(get('time_limit_s')) or 0, tonumber(get('started_at'))
if limit > 0 and started and NOW - started <= limit and not FINAL_STATES[get('state')] then
  redis.call('ZADD', KEYS[22], stamp(started + limit), ID)
  return {'later'}
end
redis.call('ZREM', KEYS[22], ID)
-- A job that waits for its retry has not started: its limit is noted again when it does.
if not started or not past_limit() then return {'none'} end
stop_for_limit()
return {'ok', get('state')}

-- A person asks for the stop. What nobody works on stops at once; the rest at its next checkpoint.
-- KEYS 1..21: see prelude.lua
-- ARGV 1 id, 2 who asks, 3 '1' to force (kill now, without waiting for a checkpoint)
-- Reply {'gone'}, {'refused', state}, {'late'} or {'ok', state, priority, RQ id of each delivery that nobody needs now}
local state = get('state')
if state == '' then return {'gone'} end
local force = ARGV[3] == '1'
if FINAL_STATES[state] or (state == 'canceling' and not force) then return {'refused', state} end
-- There is no work horse to kill: a cancel is enough.
if force and (state == 'queued' or state == 'retrying') then return {'refused', state} end
if get('committing') == '1' and not force then return {'late'} end
redis.call('SET', CANCEL, cjson.encode({by = ARGV[2], at = stamp(NOW), force = force}))
if get('stop_asked_at') == '' or state ~= 'canceling' then
  set('stop_asked_at', stamp(NOW), 'stop_asked_by', ARGV[2], 'stopped_at', '', 'stop_how', '')
end
set('stop_forced', force and '1' or '0')
redis.call('HDEL', JOB, 'stop_limit_s')  -- a person's stop ends as canceled
event(ARGV[2] .. (force and ' asked to force the stop.' or ' asked to cancel.'))
if count('running_shards') > 0 then
  move('canceling')
  set('step_description', force and 'Stopping now' or 'Stopping at the next checkpoint')
else
  close_stopped(get('started_at') == '' and 'before it started' or 'between two parts')
end
touch()
local reply = {'ok', get('state'), get('priority')}
for _, raw in ipairs(redis.call('HVALS', SHARDS)) do
  local row = decoded(raw, SHARD)
  if row and row.state == 'queued' and row.rq_id then reply[#reply + 1] = row.rq_id end
end
return reply

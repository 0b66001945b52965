-- The last step of a job ends: it is completed, partial or failed.
-- KEYS 1..21: see prelude.lua
-- ARGV 1 id, 2 fence (see owns), 3 snapshot version or '', 4 error or '', 5 what was done, or '' for a publish
-- Reply {'fenced'} or {'ok', state}
local row = shard_row('publish')
if not owns(row, ARGV[2]) then return {'fenced'} end
row.state = 'done'
save_shard('publish', row)
forget_all_shards()
local state = 'failed'
if ARGV[4] == '' then
  state = count('documents_failed') > 0 and 'partial' or 'completed'
  set('snapshot', ARGV[3], 'published_attempt', row.attempt, 'percent', 100, 'current_step', count('total_steps'))
end
if redis.call('EXISTS', CANCEL) == 1 then
  set('stopped_at', stamp(NOW), 'stop_how', 'too late: the snapshot had been published')
  if state == 'failed' and get('stop_limit_s') == '' then state = 'canceled' end
end
local failed = count('documents_failed')
if state == 'completed' and ARGV[5] ~= '' then
  set('step_description', ARGV[5])
  event('Completed: ' .. ARGV[5])
elseif state == 'completed' then
  set('step_description', 'Published as ' .. ARGV[3])
  event('Completed: published as snapshot ' .. ARGV[3] .. '.')
elseif state == 'partial' then
  set('step_description', 'Published as ' .. ARGV[3])
  set('error', failed .. ' of ' .. count('documents_total') .. ' documents failed; the rest were published.')
  event('Partial: published as snapshot ' .. ARGV[3] .. '; ' .. get('error'))
else
  set('error', ARGV[4], 'step_description', 'Failed')
  if state == 'failed' then failure('', '', get('stage'), ARGV[4]) end
  event('Failed: ' .. ARGV[4])
end
set('running_shards', 0, 'committing', '0')
move(state)
touch()
return {'ok', state}

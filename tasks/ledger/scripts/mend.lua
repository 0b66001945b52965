-- One job against its own parts: the indexes that list it, and the shards that it counts. Says what disagrees, and mends
-- it when asked; between two scripts all of this agrees, so whatever is found was damaged or forgotten.
-- KEYS 1..21: see prelude.lua
-- ARGV 1 id, 2 '1' to mend, 3 RQ id for what is to be handed over, 4 lease in seconds
-- Reply {shard to hand over under that RQ id or '', sentence, ...}; only the first is '' when all is well
local mend = ARGV[2] == '1'
local said, handed = {}, ''

local function say(what)
  said[#said + 1] = 'Job ' .. ID .. ' ' .. what .. '.'
end

local function listed(index)
  return redis.call('ZSCORE', index, ID) ~= false
end

local state = get('state')
if state == '' then
  local left = false
  for _, index in ipairs({JOBS, LIVE, WAITING, FINAL, CHANGES}) do
    left = listed(index) or left
  end
  if left then
    say('is listed and has no record')
    if mend then
      forget_all_shards()
      redis.call('DEL', JOB, CANCEL, EVENTS, DOCUMENTS, SHARDS, STAGES)
      for _, index in ipairs({JOBS, LIVE, WAITING, FINAL, CHANGES}) do redis.call('ZREM', index, ID) end
      local revision = next_revision()
      redis.call('ZADD', REMOVED, revision, ID)
    end
  end
  table.insert(said, 1, '')
  return said
end

local created, final = seconds('created_at') or NOW, FINAL_STATES[state]
local function should(index, name, wanted, score)
  if listed(index) == wanted then return end
  say((wanted and 'is not among ' or 'should not be among ') .. name)
  if not mend then return end
  if wanted then redis.call('ZADD', index, stamp(score), ID) else redis.call('ZREM', index, ID) end
end
should(JOBS, 'all jobs', true, created)
should(LIVE, 'those that are not final', not final, created)
should(WAITING, 'those that wait', state == 'queued', created)
should(FINAL, 'those that are final', final == true, seconds('ended_at') or NOW)
if not listed(CHANGES) then
  say('has no revision')
elseif (tonumber(redis.call('ZSCORE', CHANGES, ID)) or 0) > (tonumber(redis.call('GET', REVISION) or '0') or 0) then
  say('has a revision that was not given out')
end
if final then
  if mend and #said > 0 then touch() end
  table.insert(said, 1, '')
  return said
end

local LEASE_MOST_S = math.max(300, 4 * tonumber(ARGV[4])) -- further ahead it was given before the clock went back
local running, queued, waiting, done, damaged = 0, 0, nil, 0, nil
for _, shard in ipairs(redis.call('HKEYS', SHARDS)) do
  local row = shard_row(shard)
  if not row or (not tonumber(shard) and shard ~= 'publish') then
    damaged = short(shard, 40)
  elseif row.state == 'running' then
    running = running + 1
    local lease = tonumber(redis.call('ZSCORE', LEASES, member(shard)))
    if not lease or lease > NOW + LEASE_MOST_S then
      say('has shard ' .. shard .. ' at work without a lease')
      if mend then redis.call('ZADD', LEASES, stamp(NOW + tonumber(ARGV[4])), member(shard)) end
    end
  elseif row.state == 'queued' then
    queued = queued + 1
    if not redis.call('ZSCORE', ENQUEUED, member(shard)) and not redis.call('ZSCORE', DELAYED, member(shard)) then
      say('has shard ' .. shard .. ' in the queue and nobody looks for it there')
      if mend then redis.call('ZADD', ENQUEUED, stamp(NOW), member(shard)) end
    end
  elseif row.state == 'waiting' then
    waiting = math.min(waiting or tonumber(shard), tonumber(shard))
  elseif row.state == 'done' and shard ~= 'publish' then
    done = done + 1
  end
end
if damaged or not LIVE_STATES[state] then
  say(damaged and 'has a damaged record of its part ' .. damaged or 'is in no state that there is')
  if mend and state == 'canceling' then
    close_stopped('by the janitor')
  elseif mend then
    -- Who works on it is fenced off; what is finished is kept.
    set('running_shards', 0, 'committing', '0', 'step_description', 'Failed', 'error',
        'The record of this job was damaged in Redis; retry it, or submit its documents again.')
    move('failed')
    forget_all_shards()
    redis.call('DEL', SHARDS)
    failure('', '', '', get('error'))
    event('Failed: ' .. get('error'))
  end
  if mend then touch() end
  table.insert(said, 1, '')
  return said
end
if count('running_shards') ~= running then
  say('counts ' .. count('running_shards') .. ' shards at work, and ' .. running .. (running == 1 and ' is' or ' are'))
  if mend then set('running_shards', running) end
end
if count('shards_done') ~= done then
  say('counts ' .. count('shards_done') .. ' shards done, and ' .. done .. (done == 1 and ' is' or ' are'))
  if mend then set('shards_done', done) end
end
if running > 0 and (state == 'queued' or state == 'retrying') then
  say('is ' .. state .. ' while a shard of it is at work')
  if mend then move('running') end
end
if state == 'canceling' and running == 0 then
  say('was to stop and nothing of it runs any more')
  if mend then close_stopped('by the janitor') end
elseif state ~= 'canceling' and running == 0 and queued == 0 then
  if waiting then
    say('has shards that wait and none in the queue')
    if mend then
      handed = tostring(waiting)
      set('next_shard', math.max(count('next_shard'), waiting + 1))
      hand_to_rq(handed, shard_row(handed), ARGV[3])
    end
  elseif done >= count('shards_total') then
    say('has all its shards done and its last step was not handed over')
    if mend and count('documents_done') == 0 and count('documents_total') > 0 then
      move('failed')
      forget_all_shards()
      set('error', 'Every document failed; the reasons stand beside them.')
      event('Failed: ' .. get('error'))
    elseif mend then
      handed = 'publish'
      set('stage', 'publish', 'step_description', 'Waiting to publish')
      hand_to_rq('publish', {tries = 0}, ARGV[3])
    end
  end
end
if mend and #said > 0 then touch() end
table.insert(said, 1, handed)
return said

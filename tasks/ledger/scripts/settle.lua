-- A shard leaves its worker: it is done, stopped for a cancel, handed back at a shutdown, yielded to jobs that wait,
-- its worker died, or killed its work horse because the document in hand was overdue.
-- Counted exactly once, because only the attempt that owns the shard may settle it.
-- KEYS 1..21: see prelude.lua
-- ARGV 1 id, 2 shard, 3 fence (see owns), 4 outcome: done | canceled | released | yielded | lost | overdue,
--      5 how it stopped, why it was lost, or why the document in hand fails, 6 RQ id for what is to be enqueued next,
--      7 tries allowed, 8 number of the document in hand when it was lost or overdue, or '',
--      9 seconds until a lost shard is tried again
-- Reply {'fenced'}, {'none'} or {'enqueue', shard, RQ id}: hand that to RQ now
local shard, outcome = ARGV[2], ARGV[4]
local row = shard_row(shard)
if not owns(row, ARGV[3]) then return {'fenced'} end
local canceled = redis.call('EXISTS', CANCEL) == 1
local running = add(JOB, 'running_shards', -1)
redis.call('ZREM', LEASES, member(shard))

local function fail(number, document, reason)
  document.state, document.error, document.attempt = 'failed', reason, row.attempt
  add(JOB, 'documents_failed', 1)
  add(JOB, 'current_step', 1)
  documents_fact(1, 0, 0, 1)
  failure(number, document.name, get('stage'), reason)
  event((document.name or 'A document') .. ' failed: ' .. reason)
end

-- What a shard that is not done had half finished is to be done again.
local function reopen(blame, reason)
  if row.work and row.work ~= 0 then
    -- Finished documents stay counted; the unfinished part of one is not.
    local finished = math.floor(row.work / 1000) * 1000
    add_work(finished - row.work)
    row.work = finished
  end
  for _, number in ipairs(row.documents or {}) do
    local document = document_row(number)
    if document and (document.state == 'running' or (blame and tostring(number) == ARGV[8] and document.state == 'queued')) then
      document.state = 'queued'
      if blame and (ARGV[8] == '' or tostring(number) == ARGV[8]) then
        document.tries = (document.tries or 0) + 1
        if document.tries >= tonumber(ARGV[7]) then
          fail(number, document, reason)
        end
      end
      redis.call('HSET', DOCUMENTS, number, cjson.encode(document))
    end
  end
end

if outcome == 'canceled' or (canceled and outcome ~= 'done') or (canceled and get('committing') ~= '1') then
  row.state = 'canceled'
  reopen(false, '')
  save_shard(shard, row)
  if running <= 0 then close_stopped(ARGV[5] ~= '' and outcome ~= 'done' and ARGV[5] or 'at a checkpoint') end
  touch()
  return {'none'}
end

if outcome == 'yielded' then
  -- To the back of its queue, so that the jobs that wait get their turn. The job stays running.
  reopen(false, '')
  hand_to_rq(shard, row, ARGV[6])
  touch()
  return {'enqueue', shard, ARGV[6]}
end

if outcome == 'overdue' then
  -- It alone fails, at once: another try would take as long. What else is in the shard goes on.
  reopen(false, '')
  local document = document_row(ARGV[8])
  if document and document.state == 'queued' then
    fail(tonumber(ARGV[8]), document, ARGV[5])
    redis.call('HSET', DOCUMENTS, ARGV[8], cjson.encode(document))
  end
  hand_to_rq(shard, row, ARGV[6])
  if running <= 0 then
    set('step_description', 'Waiting for a worker')
    move('retrying')
  end
  touch()
  return {'enqueue', shard, ARGV[6]}
end

if outcome == 'released' then
  reopen(false, '')
  hand_to_rq(shard, row, ARGV[6])
  event('Worker ' .. (row.worker or '') .. ' is shutting down; its part of the job goes back to the queue.')
  if running <= 0 then
    set('step_description', 'Waiting for a worker')
    move('retrying')
  end
  touch()
  return {'enqueue', shard, ARGV[6]}
end

if outcome == 'lost' then
  row.tries = (row.tries or 0) + 1
  -- A shard whose worker was written off was given its new attempt then.
  local attempt = row.written_off and count('attempt') or add(JOB, 'attempt', 1)
  row.written_off = nil
  set('committing', '0')
  event('Worker ' .. (row.worker or '') .. ' was lost: ' .. ARGV[5] .. '.')
  if row.tries >= tonumber(ARGV[7]) and (shard == 'publish' or ARGV[8] == '') then
    -- Its tries are used up and no single document is to blame.
    row.state = 'done'
    save_shard(shard, row)
    local given_up = 0
    for _, number in ipairs(row.documents or {}) do
      local document = document_row(number)
      if document and (document.state == 'running' or document.state == 'queued') then
        document.state, document.error, document.attempt = 'failed', 'Its worker was lost ' .. row.tries .. ' times; retry it, and look at the worker log if it happens again.', row.attempt
        redis.call('HSET', DOCUMENTS, number, cjson.encode(document))
        add(JOB, 'documents_failed', 1)
        add(JOB, 'current_step', 1)
        given_up = given_up + 1
        failure(number, document.name, get('stage'), document.error)
      end
    end
    if given_up > 0 then documents_fact(given_up, 0, 0, given_up) end
    if shard == 'publish' then
      move('failed')
      forget_all_shards()
      set('error', 'Publishing was lost ' .. row.tries .. ' times (' .. ARGV[5] .. '); retry the job.', 'running_shards', 0)
      failure('', '', 'publish', get('error'))
      event('Failed: ' .. get('error'))
      touch()
      return {'none'}
    end
    outcome = 'done'
  else
    reopen(true, 'Its worker was lost ' .. ARGV[7] .. ' times while it worked on this document; the file may be damaged or too large to parse.')
    hand_to_rq(shard, row, ARGV[6])
    if running <= 0 then
      set('step_description', 'Trying again, attempt ' .. attempt)
      move('retrying')
    end
    touch()
    if tonumber(ARGV[9]) > 0 then
      redis.call('ZREM', ENQUEUED, member(shard))
      redis.call('ZADD', DELAYED, stamp(NOW + tonumber(ARGV[9])), member(shard))
      return {'none'}
    end
    return {'enqueue', shard, ARGV[6]}
  end
end

-- done
row.state = 'done'
if row.documents then
  add_work(#row.documents * 1000 - (row.work or 0))
  row.work = #row.documents * 1000
end
save_shard(shard, row)
local done, total = add(JOB, 'shards_done', 1), count('shards_total')
if done >= total then
  if count('documents_done') == 0 then
    move('failed')
    forget_all_shards()
    set('error', total == 0 and 'There was nothing to do.' or 'Every document failed; the reasons stand beside them.', 'running_shards', 0)
    -- Documents that failed are on the record themselves.
    if total == 0 then failure('', '', get('stage'), get('error')) end
    event('Failed: ' .. get('error'))
    touch()
    return {'none'}
  end
  set('stage', 'publish', 'step_description', 'Waiting to publish')
  hand_to_rq('publish', {tries = 0}, ARGV[6])
  touch()
  return {'enqueue', 'publish', ARGV[6]}
end
local upcoming = count('next_shard')
if upcoming < total then
  set('next_shard', upcoming + 1)
  local next_row = shard_row(tostring(upcoming))
  hand_to_rq(tostring(upcoming), next_row, ARGV[6])
  touch()
  return {'enqueue', tostring(upcoming), ARGV[6]}
end
touch()
return {'none'}

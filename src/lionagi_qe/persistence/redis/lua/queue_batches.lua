-- Batches of jobs, see contract/job_batches.py. Of the queue <q>, under Q = P:q:<q> :
--   Q:g       sorted set of batches, by the ids of their callbacks
--   Q:gt      sorted set of those whose callbacks are done or cancelled, by when they are forgotten
--   Q:g:<id>  hash of a batch: w 1 if all must succeed, k for how many ms the callback is kept if it is cancelled,
--             p pending, 3 done, 4 dead, 5 cancelled, t created in ms
--   Q:h:<id>  hash of its jobs by id: 0 pending, or the state that it has ended in and its result or last error
--   Q:i:<id>  sorted set of its jobs, by name
-- and of a job's hash h, the batch that it is of; in z, 4 for one of a batch and 8 for a callback. The latter three
-- keys expire natively with the callback. Made when it is first needed, as the lines of keys are.

local MOST_PRUNED = 100
local made_batches

function batches_of_jobs()
  if made_batches then return made_batches end
  local batches = {}
  made_batches = batches

  local function keys_of(Q, batch)
    return Q .. ':g:' .. batch, Q .. ':h:' .. batch, Q .. ':i:' .. batch
  end

  local function prune(Q)
    for _, batch in ipairs(redis.call('ZRANGEBYSCORE', Q .. ':gt', '-inf', now, 'LIMIT', 0, MOST_PRUNED)) do
      redis.call('ZREM', Q .. ':gt', batch)
      redis.call('ZREM', Q .. ':g', batch)
    end
  end

  local function forget_in(Q, batch, ms)
    for _, key in ipairs({keys_of(Q, batch)}) do redis.call('PEXPIRE', key, ms) end
    redis.call('ZADD', Q .. ':gt', number(now + ms), batch)
  end

  -- Lets a job whose hash was just made wait for the batch whose callback it is; returns whether there is one.
  function batches.make(Q, id, place, makes)
    prune(Q)
    redis.call('ZADD', Q .. ':g', 0, id)
    redis.call('HSET', Q .. ':g:' .. id, 'w', makes[1], 'k', number(makes[3]), 'p', number(makes[2]),
      '3', 0, '4', 0, '5', 0, 't', number(now))
    redis.call('HSET', Q .. ':j:' .. id, 'z', 8)
    if makes[2] == 0 then return false end
    redis.call('HSET', Q .. ':j:' .. id, 's', 7)
    redis.call('ZADD', Q .. ':a', string.sub(place, 1, PLACE_WIDTH), id)
    return true
  end

  function batches.takes(Q, batch)
    return redis.call('EXISTS', Q .. ':g:' .. batch) == 1
      and redis.call('HGET', Q .. ':j:' .. batch, 's') == '7'
  end

  -- Makes a job whose hash was just made one of its batch.
  function batches.enter(Q, id, batch, adds)
    if adds then redis.call('HINCRBY', Q .. ':g:' .. batch, 'p', adds) end
    local name = Q .. ':j:' .. id
    local job = redis.call('HMGET', name, 'z', 's')
    redis.call('HSET', name, 'z', number((job[1] or 0) + 4), 'h', batch)
    redis.call('HSET', Q .. ':h:' .. batch, id, '0')
    redis.call('ZADD', Q .. ':i:' .. batch, 0, id)
    local state = tonumber(job[2])
    if state == 4 or state == 5 then batches.ended(Q, id, state) end
  end

  -- Counts a job that has ended, once, and decides on the callback of a batch that is over; who waits for jobs is
  -- told.
  function batches.ended(Q, id, state)
    local name = Q .. ':j:' .. id
    local job = redis.call('HMGET', name, 'h', 'o')
    local batch = job[1]
    local of_batch, jobs = keys_of(Q, batch)
    if redis.call('HGET', jobs, id) ~= '0' then return end
    redis.call('HSET', jobs, id, number(state) .. (job[2] or ''))
    redis.call('HINCRBY', of_batch, number(state), 1)
    if redis.call('HINCRBY', of_batch, 'p', -1) > 0 then return end
    local counts = redis.call('HMGET', of_batch, 'w', '3', '4', '5', 'k')
    local callback = Q .. ':j:' .. batch
    local its = redis.call('HMGET', callback, 's', 'n', 'y', 'z')
    if its[1] ~= '7' then return end
    redis.call('ZREM', Q .. ':a', batch)
    if counts[1] ~= '1' or counts[3] == '0' and counts[4] == '0' then
      redis.call('HSET', callback, 's', 1)
      line_up(Q, batch, its[2], its[3])
      redis.call('PUBLISH', Q, '')
      return
    end
    redis.call('HSET', callback, 'o', cjson.encode('of the jobs of its batch ' .. counts[3] .. ' are dead, '
      .. counts[4] .. ' cancelled, ' .. counts[2] .. ' done'))
    if counts[3] ~= '0' then
      die(Q, batch)
      dependencies_of_jobs().ended(Q, batch, its[4], 4)
    else
      finish(Q, batch, 5, counts[5])
      dependencies_of_jobs().ended(Q, batch, its[4], 5, '', counts[5])
    end
  end

  -- Has a batch forgotten together with its callback, which is done or cancelled.
  function batches.over(Q, batch)
    forget_in(Q, batch, math.max(1, redis.call('PTTL', Q .. ':j:' .. batch)))
  end

  function batches.purge(Q, batch)
    forget_in(Q, batch, 1)
  end

  -- The state that a dead callback gets when it is revived, nil if it stays dead.
  function batches.may_call(Q, batch)
    local counts = redis.call('HMGET', Q .. ':g:' .. batch, 'p', 'w', '4', '5')
    if not counts[1] then return nil end
    if tonumber(counts[1]) > 0 then return 7 end
    if counts[2] == '1' and counts[3] + counts[4] > 0 then return nil end
    return 1
  end

  -- Counts a dead job that is ready again as pending; a callback that its batch had die, so that it was never
  -- begun, waits.
  function batches.revived(Q, id)
    local batch = redis.call('HGET', Q .. ':j:' .. id, 'h')
    local of_batch, jobs = keys_of(Q, batch)
    local counted = redis.call('HGET', jobs, id)
    if not counted or string.sub(counted, 1, 1) ~= '4' then return end
    redis.call('HSET', jobs, id, '0')
    redis.call('HINCRBY', of_batch, '4', -1)
    redis.call('HINCRBY', of_batch, 'p', 1)
    local callback = Q .. ':j:' .. batch
    local its = redis.call('HMGET', callback, 's', 'a', 'n')
    if its[1] == '4' and its[2] == '0' then
      redis.call('HSET', callback, 's', 7)
      redis.call('HDEL', callback, 'o')
      redis.call('ZREM', Q .. ':x', batch)
      redis.call('ZADD', Q .. ':a', string.sub(its[3], 1, PLACE_WIDTH), batch)
    end
  end

  return batches
end

-- Work queues. Of the queue <q>, under Q = P:q:<q> :
--   Q:j:<id>  hash of a job: s state (0 delayed, 1 ready, 2 claimed, 3 done, 4 dead), y priority,
--             a attempts, m most attempts, c number of the claim (which counts up whenever the job
--             changes hands), p payload, o result or last error, d dedupe key, n place in line,
--             t created in ms; a done one expires natively
--   Q:r       sorted set of ready jobs "place:id" by priority
--   Q:w, Q:l  sorted sets of delayed and claimed jobs, by when that ends in ms
--   Q:f       sorted set of done jobs, by when they are forgotten
--   Q:x       sorted set of dead jobs, by name
--   Q:u       hash of dedupe keys to the ids of unended jobs
--   Q:n       the place last given in line
-- and P:qs, the set of queues. What is published on Q wakes waiting workers.

local QUEUE_WIDTH = 8

local function queue_of(name)
  return P .. ':q:' .. name
end

local function line_up(Q, id, place, priority)
  redis.call('ZADD', Q .. ':r', priority, place .. ':' .. id)
end

-- Ends a job for good, as far as workers are concerned; its dedupe key is free again.
local function free_key(Q, id)
  local key = redis.call('HGET', Q .. ':j:' .. id, 'd')
  if key then
    redis.call('HDEL', Q .. ':u', key)
    redis.call('HDEL', Q .. ':j:' .. id, 'd')
  end
end

local function die(Q, id)
  free_key(Q, id)
  redis.call('HSET', Q .. ':j:' .. id, 's', 4)
  redis.call('ZADD', Q .. ':x', 0, id)
end

-- Makes what is due ready, or dead if it was its last attempt; at most ``limit`` of each kind.
local function make_ready(Q, limit, lease_ended)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', Q .. ':w', '-inf', now, 'LIMIT', 0, limit)) do
    local job = redis.call('HMGET', Q .. ':j:' .. id, 'n', 'y')
    redis.call('ZREM', Q .. ':w', id)
    redis.call('HSET', Q .. ':j:' .. id, 's', 1)
    line_up(Q, id, job[1], job[2])
  end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', Q .. ':l', '-inf', now, 'LIMIT', 0, limit)) do
    local name = Q .. ':j:' .. id
    local job = redis.call('HMGET', name, 'n', 'y', 'a', 'm')
    redis.call('ZREM', Q .. ':l', id)
    redis.call('HINCRBY', name, 'c', 1)
    redis.call('HSET', name, 'o', lease_ended)
    if tonumber(job[3]) >= tonumber(job[4]) then
      die(Q, id)
    else
      redis.call('HSET', name, 's', 1)
      line_up(Q, id, job[1], job[2])
    end
  end
end

local function put_job(Q, queue, id, payload, priority, delay, dedupe, most)
  local name = Q .. ':j:' .. id
  if dedupe ~= '' then
    local holder = redis.call('HGET', Q .. ':u', dedupe)
    if holder then return holder end
  end
  if redis.call('EXISTS', name) == 1 then return id end
  redis.call('SADD', P .. ':qs', queue)
  local place = string.format('%016.0f', redis.call('INCR', Q .. ':n'))
  local state = tonumber(delay) > 0 and 0 or 1
  redis.call('HSET', name, 's', state, 'y', priority, 'a', 0, 'm', most, 'c', 0, 'p', payload,
    'n', place, 't', number(now))
  if dedupe ~= '' then
    redis.call('HSET', name, 'd', dedupe)
    redis.call('HSET', Q .. ':u', dedupe, id)
  end
  if state == 0 then
    redis.call('ZADD', Q .. ':w', number(now + delay), id)
  else
    line_up(Q, id, place, priority)
  end
  return id
end

-- Whether the claim of this number may be ended so, or was so by this very call before.
local function standing(Q, kind, id, claim)
  local job = redis.call('HMGET', Q .. ':j:' .. id, 's', 'c')
  local state = job[1]
  if not state or job[2] ~= claim then return 'lost' end
  if state == '2' then return 'ok' end
  local repeated = kind == 'ack' and state == '3' or kind == 'bury' and state == '4'
    or (kind == 'retry' or kind == 'release') and state ~= '3'
  return repeated and 'repeated' or 'lost', state
end

local function end_job(Q, kind, id, payload, ms)
  local name = Q .. ':j:' .. id
  if kind == 'extend' then
    redis.call('ZADD', Q .. ':l', number(now + ms), id)
    return '2'
  end
  redis.call('ZREM', Q .. ':l', id)
  if kind == 'ack' then
    free_key(Q, id)
    redis.call('HDEL', name, 'p')
    redis.call('HSET', name, 's', 3, 'o', payload)
    redis.call('PEXPIRE', name, ms)
    redis.call('ZREMRANGEBYSCORE', Q .. ':f', '-inf', now)
    redis.call('ZADD', Q .. ':f', number(now + ms), id)
    return '3'
  end
  if kind == 'release' then
    redis.call('HINCRBY', name, 'a', -1)
  else
    redis.call('HSET', name, 'o', payload)
  end
  local job = redis.call('HMGET', name, 'n', 'y', 'a', 'm')
  if kind == 'bury' or (kind == 'retry' and tonumber(job[3]) >= tonumber(job[4])) then
    die(Q, id)
    return '4'
  elseif kind == 'retry' and tonumber(ms) > 0 then
    redis.call('HSET', name, 's', 0)
    redis.call('ZADD', Q .. ':w', number(now + ms), id)
    return '0'
  end
  redis.call('HSET', name, 's', 1)
  line_up(Q, id, job[1], job[2])
  return '1'
end

-- Returns {position, status} of the first operation that would fail, changing nothing.
local function first_lost(first, count, stale)
  for i = 1, count do
    local at = first + (i - 1) * QUEUE_WIDTH
    local kind, queue, id, claim = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 5]
    if stale[i] then return {i, 'stale'} end
    if kind ~= 'put' and standing(queue_of(queue), kind, id, claim) == 'lost' then
      return {i, 'lost'}
    end
  end
end

-- Applies operations on jobs that follow ARGV[first], each of QUEUE_WIDTH words: kind (put, ack,
-- retry, bury, release, extend), queue, id, payload, priority or claim, delay or other time in ms,
-- dedupe key, most attempts. Appends status and figure of each to ``answers``.
local function apply_jobs(first, count, stale, answers)
  local rung = {}
  for i = 1, count do
    local at = first + (i - 1) * QUEUE_WIDTH
    local kind, queue, id, payload = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
    local Q = queue_of(queue)
    local status, figure = 'ok', ''
    if stale[i] then
      status = 'stale'
    elseif kind == 'put' then
      figure = put_job(Q, queue, id, payload, ARGV[at + 5], ARGV[at + 6], ARGV[at + 7], ARGV[at + 8])
      rung[Q] = true
    else
      status, figure = standing(Q, kind, id, ARGV[at + 5])
      if status == 'ok' then
        figure = end_job(Q, kind, id, payload, ARGV[at + 6])
        if kind == 'retry' or kind == 'release' then rung[Q] = true end
      elseif status == 'repeated' then
        status = 'ok'
      end
    end
    answers[#answers + 1] = status
    answers[#answers + 1] = figure or ''
  end
  for Q in pairs(rung) do redis.call('PUBLISH', Q, '') end
  return answers
end

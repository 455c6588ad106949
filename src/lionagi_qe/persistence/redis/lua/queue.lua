-- Work queues. Of the queue <q>, under Q = P:q:<q> :
--   Q:j:<id>  hash of a job: s state (0 delayed, 1 ready, 2 claimed, 3 done, 4 dead, 5 cancelled),
--             y priority, a attempts, m most attempts, c number of the claim (which counts up
--             whenever the job changes hands), p payload, o result or last error, d dedupe key, n
--             place in line, with a limit key "place/key", t created in ms, g progress, b id of the put that replaced its payload;
--             f its newest failed attempts, JSON of {attempt, when in ms, text} each;
--             k if it is being cancelled: for how many ms it is kept then; e if it was claimed while
--             the queue had limits or keys, so that somebody may wait for its end. Done and cancelled ones
--             expire natively
--   Q:r       sorted set of ready jobs "place:id" by priority
--   Q:w, Q:l  sorted sets of delayed and claimed jobs, by when that ends in ms
--   Q:f, Q:c  sorted sets of done and of cancelled jobs, by when they are forgotten
--   Q:x       sorted set of dead jobs, by name
--   Q:u       hash of dedupe keys to the ids of unended jobs
--   Q:n       the place last given in line
--   Q:s       hash of periodic jobs, see queue_schedule.lua
--   Q:m, Q:k.. limits, and the lines of jobs with a limit key, see queue_lines.lua
--   Q:a, Q:b.. what comes after what, see queue_dependencies.lua
--   Q:g..     batches, see queue_batches.lua
-- and P:qs, the set of queues; P:qk:<length of q>:<q>:<key>, the id of the job that a dedupe key stays
-- with even after its end, which expires natively. What is published on Q wakes waiting workers.

local QUEUE_WIDTH, MOST_FAILURES = 9, 10
local dependencies_of_jobs, batches_of_jobs

local function queue_of(name)
  return P .. ':q:' .. name
end

local function kept_key(Q, dedupe)
  local queue = string.sub(Q, #P + 4)
  return P .. ':qk:' .. #queue .. ':' .. queue .. ':' .. dedupe
end

local function line_up(Q, id, place, priority)
  if #place > PLACE_WIDTH then
    lines_of_keys().join_line(Q, id, place, priority)
  else
    redis.call('ZADD', Q .. ':r', priority, place .. ':' .. id)
  end
end

-- Takes a job that waits out of its line, or a claimed one out of those.
local function leave_line(Q, id, state, place)
  local has_key = #place > PLACE_WIDTH
  if state == '1' and has_key then
    lines_of_keys().quit_line(Q, id, place)
  elseif state == '1' then
    redis.call('ZREM', Q .. ':r', place .. ':' .. id)
  elseif state == '7' then
    redis.call('ZREM', Q .. ':a', id)
  else
    redis.call('ZREM', Q .. (state == '0' and ':w' or ':l'), id)
    if state == '2' and has_key then lines_of_keys().free_place(Q, place) end
  end
end

-- Frees the dedupe key of a job that ends; the job knows it still.
local function free_key(Q, id)
  local key = redis.call('HGET', Q .. ':j:' .. id, 'd')
  if key and redis.call('HGET', Q .. ':u', key) == id then
    redis.call('HDEL', Q .. ':u', key)
  end
end

local function die(Q, id)
  free_key(Q, id)
  redis.call('HSET', Q .. ':j:' .. id, 's', 4)
  redis.call('ZADD', Q .. ':x', 0, id)
end

-- Ends a job as done (3) or cancelled (5); it is kept for ``ms`` for its outcome alone.
local function finish(Q, id, state, ms)
  local name, kept = Q .. ':j:' .. id, Q .. (state == 3 and ':f' or ':c')
  free_key(Q, id)
  redis.call('HDEL', name, 'p')
  redis.call('HSET', name, 's', state)
  redis.call('PEXPIRE', name, ms)
  redis.call('ZREMRANGEBYSCORE', kept, '-inf', now)
  redis.call('ZADD', kept, number(now + ms), id)
end

-- Keeps an attempt that failed beside those before it.
local function keep_failure(name, text)
  local job = redis.call('HMGET', name, 'f', 'a')
  local failures = job[1] and cjson.decode(job[1]) or {}
  if #failures >= MOST_FAILURES then table.remove(failures, 1) end
  failures[#failures + 1] = {job[2], number(now), text}
  redis.call('HSET', name, 'f', cjson.encode(failures))
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
    local job = redis.call('HMGET', name, 'n', 'y', 'a', 'm', 'k', 'z')
    redis.call('ZREM', Q .. ':l', id)
    if #job[1] > PLACE_WIDTH then lines_of_keys().free_place(Q, job[1]) end
    redis.call('HINCRBY', name, 'c', 1)
    redis.call('HSET', name, 'o', lease_ended)
    keep_failure(name, lease_ended)
    if job[5] then
      finish(Q, id, 5, job[5])
      if job[6] then dependencies_of_jobs().ended(Q, id, job[6], 5, '', job[5]) end
    elseif tonumber(job[3]) >= tonumber(job[4]) then
      die(Q, id)
      if job[6] then dependencies_of_jobs().ended(Q, id, job[6], 4) end
    else
      redis.call('HSET', name, 's', 1)
      line_up(Q, id, job[1], job[2])
    end
  end
end

-- Returns the job that has the dedupe key of the put of ``id``, treated as ``options`` say; nil if
-- there is none that keeps the put from being added.
local function holder_of(Q, id, payload, priority, delay, dedupe, most, options)
  local holder = redis.call('HGET', Q .. ':u', dedupe)
  if not holder then return redis.call('GET', kept_key(Q, dedupe)) or nil end
  local what = options.on_duplicate
  if not what or holder == id then return holder end
  local name = Q .. ':j:' .. holder
  local job = redis.call('HMGET', name, 's', 'n', 'y', 'b', 'a')
  local state, place = job[1], job[2]
  if job[4] == id then return holder end
  if state == '2' then
    if what == 'earliest' then return holder end
    redis.call('HSET', name, 'm', job[5])
    redis.call('HDEL', name, 'd')
    redis.call('HDEL', Q .. ':u', dedupe)
    redis.call('SET', kept_key(Q, dedupe), id, 'XX', 'KEEPTTL')
    return nil
  end
  local due = tonumber(delay) > 0 and now + delay or nil
  local new_place = place
  if what == 'replace' then
    new_place = string.sub(place, 1, PLACE_WIDTH)
    if options.limit_key then new_place = new_place .. '/' .. options.limit_key end
    redis.call('HSET', name, 'y', priority, 'a', 0, 'm', most, 'p', payload, 't', number(now),
      'b', id, 'n', new_place)
    redis.call('HDEL', name, 'o', 'g', 'f')
  else
    if tonumber(job[3]) < tonumber(priority) then priority = job[3] end
    redis.call('HSET', name, 'y', priority)
    local score = state == '0' and redis.call('ZSCORE', Q .. ':w', holder)
      or state == '7' and redis.call('HGET', name, 'q')
    if state == '1' then
      due = nil
    elseif due and score and tonumber(score) < due then
      due = tonumber(score)
    end
  end
  if state == '7' then
    redis.call('HSET', name, 'q', number(due or now))
    return holder
  end
  leave_line(Q, holder, state, place)
  redis.call('HSET', name, 's', due and 0 or 1)
  if due then
    redis.call('ZADD', Q .. ':w', number(due), holder)
  else
    line_up(Q, holder, new_place, priority)
  end
  return holder
end

-- Returns the id of the job, or nil and the first job unknown of those that it comes after.
local function put_job(Q, queue, id, payload, priority, delay, dedupe, most, options)
  local name = Q .. ':j:' .. id
  options = options == '' and {} or cjson.decode(options)
  if dedupe ~= '' then
    local holder = holder_of(Q, id, payload, priority, delay, dedupe, most, options)
    if holder then return holder end
  end
  if redis.call('EXISTS', name) == 1 then return id end
  local after, batch = options.after, options.batch
  if after then
    local unknown = dependencies_of_jobs().unknown(Q, after)
    if unknown then return nil, unknown end
  end
  if options.adds and not batches_of_jobs().takes(Q, batch) then return nil, batch end
  redis.call('SADD', P .. ':qs', queue)
  local place = string.format('%016.0f', redis.call('INCR', Q .. ':n'))
  if options.limit_key then
    place = place .. '/' .. options.limit_key
    redis.call('HSET', Q .. ':m', 'on', 1)
  end
  local state = tonumber(delay) > 0 and 0 or 1
  redis.call('HSET', name, 's', state, 'y', priority, 'a', 0, 'm', most, 'c', 0, 'p', payload,
    'n', place, 't', number(now))
  if dedupe ~= '' then
    redis.call('HSET', name, 'd', dedupe)
    redis.call('HSET', Q .. ':u', dedupe, id)
    if options.dedupe_ms then
      redis.call('SET', kept_key(Q, dedupe), id, 'PX', options.dedupe_ms)
    end
  end
  if after and dependencies_of_jobs().hold(Q, id, place, after) then
    redis.call('HSET', name, 'q', number(now + delay))
  elseif options.makes and batches_of_jobs().make(Q, id, place, options.makes) then
    redis.call('HSET', name, 'q', number(now))
  elseif state == 0 then
    redis.call('ZADD', Q .. ':w', number(now + delay), id)
  else
    line_up(Q, id, place, priority)
  end
  if batch then batches_of_jobs().enter(Q, id, batch, options.adds) end
  return id
end

-- Whether the claim of this number may be ended so, or was so by this very call before; then its
-- state, for how long it is kept if it is being cancelled, its place, whether somebody may wait for its end,
-- and its links.
local function standing(Q, kind, id, claim)
  local job = redis.call('HMGET', Q .. ':j:' .. id, 's', 'c', 'k', 'n', 'e', 'z')
  local state = job[1]
  if not state or job[2] ~= claim then return 'lost' end
  if state == '2' then return 'ok', state, job[3], job[4], job[5], job[6] end
  local repeated = kind == 'ack' and state == '3' or kind == 'bury' and (state == '4' or state == '5')
    or (kind == 'retry' or kind == 'release') and state ~= '3'
  return repeated and 'repeated' or 'lost', state
end

local function end_job(Q, kind, id, payload, ms, cancelled, place, detail)
  local name = Q .. ':j:' .. id
  if kind == 'extend' then
    redis.call('ZADD', Q .. ':l', number(now + ms), id)
    return cancelled and '6' or '2'
  elseif kind == 'progress' then
    redis.call('HSET', name, 'g', payload)
    return cancelled and '6' or '2'
  end
  leave_line(Q, id, '2', place)
  if kind == 'retry' or kind == 'bury' then
    keep_failure(name, detail ~= '' and detail or payload)
  end
  if kind == 'ack' then
    redis.call('HSET', name, 'o', payload)
    finish(Q, id, 3, ms)
    return '3'
  elseif cancelled then
    if kind ~= 'release' then redis.call('HSET', name, 'o', payload) end
    finish(Q, id, 5, cancelled)
    return '5'
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

-- Returns the state after that, "" for an unknown job, and whether somebody may wait for its end. A claim
-- that has ended holds nobody back.
local function cancel_job(Q, id, ms)
  local name = Q .. ':j:' .. id
  local job = redis.call('HMGET', name, 's', 'n', 'e', 'z')
  local state = job[1]
  if not state then return '' end
  if state == '3' or state == '4' or state == '5' then return state end
  if state == '2' then
    if tonumber(redis.call('ZSCORE', Q .. ':l', id) or 0) > now then
      redis.call('HSET', name, 'k', ms)
      return '6'
    end
    redis.call('HINCRBY', name, 'c', 1)
  end
  leave_line(Q, id, state, job[2])
  finish(Q, id, 5, ms)
  if job[4] then dependencies_of_jobs().ended(Q, id, job[4], 5, '', ms) end
  return '5', state == '2' and job[3]
end

-- Returns {position, status} of the first operation that would fail, changing nothing.
local function first_lost(first, count, stale)
  local put = {}
  for i = 1, count do
    local at = first + (i - 1) * QUEUE_WIDTH
    local kind, queue, id, claim = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 5]
    if stale[i] then return {i, 'stale'} end
    if kind ~= 'put' and kind ~= 'cancel' and standing(queue_of(queue), kind, id, claim) == 'lost' then
      return {i, 'lost'}
    end
    if kind == 'put' then
      local Q, options = queue_of(queue), ARGV[at + 9]
      if string.find(options, '"adds"', 1, true) and redis.call('EXISTS', Q .. ':j:' .. id) == 0 then
        local batch = cjson.decode(options).batch
        if not batches_of_jobs().takes(Q, batch) then return {i, 'unknown', batch} end
      end
      if string.find(options, '"after"', 1, true) then
        local after = cjson.decode(options).after
        local dedupe = ARGV[at + 7]
        local is_there = redis.call('EXISTS', Q .. ':j:' .. id) == 1 or dedupe ~= ''
          and (redis.call('HEXISTS', Q .. ':u', dedupe) == 1
            or redis.call('EXISTS', kept_key(Q, dedupe)) == 1)
        local unknown = after and not is_there and dependencies_of_jobs().unknown(Q, after, put)
        if unknown then return {i, 'unknown', unknown} end
      end
      put[Q .. id] = true
    end
  end
end

-- Applies operations on jobs that follow ARGV[first], each of QUEUE_WIDTH words: kind (put, ack,
-- retry, bury, release, extend, progress, cancel), queue, id, payload, priority or claim, delay or
-- other time in ms, dedupe key, most attempts, options of a put in JSON or
-- what is kept of a failed attempt, or "". Appends status and figure of each to ``answers``.
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
      local unknown
      figure, unknown = put_job(Q, queue, id, payload, ARGV[at + 5], ARGV[at + 6], ARGV[at + 7],
        ARGV[at + 8], ARGV[at + 9])
      if unknown then
        status, figure = 'unknown', unknown
      else
        rung[Q] = true
      end
    elseif kind == 'cancel' then
      local is_awaited
      figure, is_awaited = cancel_job(Q, id, ARGV[at + 6])
      if is_awaited then rung[Q] = true end
    else
      local cancelled, place, is_awaited, links
      status, figure, cancelled, place, is_awaited, links = standing(Q, kind, id, ARGV[at + 5])
      if status == 'ok' then
        figure = end_job(Q, kind, id, payload, ARGV[at + 6], cancelled, place, ARGV[at + 9])
        if links and (figure == '3' or figure == '4' or figure == '5') then
          if dependencies_of_jobs().ended(Q, id, links, tonumber(figure), payload, cancelled) then
            rung[Q] = true
          end
        end
        if kind == 'retry' or kind == 'release' then
          rung[Q] = true
        elseif is_awaited and kind ~= 'extend' and kind ~= 'progress' then
          rung[Q] = true
        end
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

-- Jobs that come after others, see contract/dependencies.py. Of the queue <q>, under Q = P:q:<q> :
--   Q:a       sorted set of waiting jobs (state 7) by their places
--   Q:b:<id>  hash of what a job comes after, by id: 0 that waits, 2 that can't be done any more, or 1 and its
--             result. Kept until the job is done, cancelled or purged
--   Q:d:<id>  set of those that come after a job that hasn't ended
--   Q:v       list of falls that are not over, each "state due id" of one that died or was cancelled
-- and of a job's hash z, a sum: 1 others came after it, 2 it comes after others, 4 it is of a batch, 8 it is the
-- callback of one; q: when its delay ends.
-- Made when it is first needed, as the lines of keys are.

local MAX_FALLEN = 1000
local made_dependencies

function dependencies_of_jobs()
  if made_dependencies then return made_dependencies end
  local deps = {}
  made_dependencies = deps

  -- Returns the first of these jobs that isn't known; ``put`` has those that are about to be.
  function deps.unknown(Q, after, put)
    for _, before in ipairs(after) do
      if not (put and put[Q .. before]) and redis.call('EXISTS', Q .. ':j:' .. before) == 0 then
        return before
      end
    end
  end

  local function reason_of(before, state)
    local what = state == 4 and 'dead' or 'cancelled'
    return cjson.encode('comes after job ' .. before .. ', which is ' .. what)
  end

  local function add_link(Q, id, bit)
    local name = Q .. ':j:' .. id
    local links = tonumber(redis.call('HGET', name, 'z') or 0)
    if links % (2 * bit) < bit then redis.call('HSET', name, 'z', links + bit) end
  end

  -- Ends a waiting job as one that comes after ``before``; ``due``: until when it is kept if cancelled.
  local function let_fall(Q, id, before, state, due)
    local name = Q .. ':j:' .. id
    redis.call('HDEL', name, 'k')
    redis.call('HSET', name, 'o', reason_of(before, state))
    redis.call('ZREM', Q .. ':a', id)
    if state == 4 then
      redis.call('HSET', Q .. ':b:' .. id, before, '2')
      die(Q, id)
    else
      redis.call('DEL', Q .. ':b:' .. id)
      finish(Q, id, 5, math.max(1, due - now))
    end
  end

  -- Lets a job whose hash was just made wait for others; returns the state that it is in then, nil if there is
  -- nothing to wait for.
  function deps.hold(Q, id, place, after)
    local name = Q .. ':j:' .. id
    local fallen, is_held
    for _, before in ipairs(after) do
      local job = redis.call('HMGET', Q .. ':j:' .. before, 's', 'o')
      local state, link = tonumber(job[1]), '0'
      if state == 3 then
        link = '1' .. (job[2] or '')
      elseif state == 4 or state == 5 then
        link = '2'
        fallen = fallen or {before, state, now + math.max(0, redis.call('PTTL', Q .. ':j:' .. before))}
      else
        is_held = true
        add_link(Q, before, 1)
        redis.call('SADD', Q .. ':d:' .. before, id)
      end
      redis.call('HSET', Q .. ':b:' .. id, before, link)
    end
    redis.call('HSET', name, 'z', 2)
    if fallen then
      let_fall(Q, id, unpack(fallen))
      return fallen[2]
    elseif is_held then
      redis.call('HSET', name, 's', 7)
      redis.call('ZADD', Q .. ':a', string.sub(place, 1, PLACE_WIDTH), id)
      return 7
    end
  end

  -- Frees a waiting job that waits for nothing any more.
  local function free(Q, id)
    local name = Q .. ':j:' .. id
    local job = redis.call('HMGET', name, 's', 'n', 'y', 'q')
    if job[1] ~= '7' then return false end
    for _, link in ipairs(redis.call('HVALS', Q .. ':b:' .. id)) do
      if string.sub(link, 1, 1) ~= '1' then return false end
    end
    redis.call('ZREM', Q .. ':a', id)
    local due = tonumber(job[4] or 0)
    if due > now then
      redis.call('HSET', name, 's', 0)
      redis.call('ZADD', Q .. ':w', number(due), id)
    else
      redis.call('HSET', name, 's', 1)
      line_up(Q, id, job[2], job[3])
    end
    return true
  end

  local function fall(Q, fallen)
    local room, at = MAX_FALLEN, 1
    while fallen[at] do
      local before, state, due = unpack(fallen[at])
      local dependants = room > 0 and redis.call('SPOP', Q .. ':d:' .. before, room) or {}
      room = room - #dependants
      for _, id in ipairs(dependants) do
        local job = redis.call('HMGET', Q .. ':j:' .. id, 's', 'z')
        if job[1] == '7' then
          if tonumber(job[2]) % 2 == 1 then fallen[#fallen + 1] = {id, state, due} end
          let_fall(Q, id, before, state, due)
          if job[2] % 8 >= 4 then batches_of_jobs().ended(Q, id, state) end
        elseif redis.call('HGET', Q .. ':b:' .. id, before) == '0' then
          redis.call('HSET', Q .. ':b:' .. id, before, '2')
        end
      end
      if redis.call('EXISTS', Q .. ':d:' .. before) == 1 then
        redis.call('RPUSH', Q .. ':v', state .. ' ' .. number(due) .. ' ' .. before)
      end
      at = at + 1
    end
  end

  -- Lets fall what was left of falls before.
  function deps.fall_on(Q)
    local fallen = {}
    for _, noted in ipairs(redis.call('LPOP', Q .. ':v', MAX_FALLEN)) do
      local state, due, id = string.match(noted, '^(%d) (%d+) (.*)$')
      fallen[#fallen + 1] = {id, tonumber(state), tonumber(due)}
    end
    fall(Q, fallen)
  end

  -- Does what follows from the end of a job with links. Returns whether others became ready.
  function deps.ended(Q, id, links, state, result, ms)
    local has_freed = false
    links = tonumber(links)
    if links % 2 == 1 then
      if state == 3 then
        local dependants = redis.call('SMEMBERS', Q .. ':d:' .. id)
        table.sort(dependants)
        redis.call('DEL', Q .. ':d:' .. id)
        for _, dependant in ipairs(dependants) do
          if redis.call('HGET', Q .. ':b:' .. dependant, id) == '0' then
            redis.call('HSET', Q .. ':b:' .. dependant, id, '1' .. result)
            has_freed = free(Q, dependant) or has_freed
          end
        end
      else
        fall(Q, {{id, state, now + tonumber(ms or 0)}})
      end
    end
    if links % 4 >= 2 and state ~= 4 then redis.call('DEL', Q .. ':b:' .. id) end
    if links % 8 >= 4 then batches_of_jobs().ended(Q, id, state) end
    if links >= 8 and state ~= 4 then batches_of_jobs().over(Q, id) end
    return has_freed
  end

  -- Returns the state that a dead job gets when it is revived, nil if it stays dead. What it comes after and is
  -- done by now is met.
  function deps.may_revive(Q, id)
    local found, state = redis.call('HGETALL', Q .. ':b:' .. id), 1
    local links = {}
    for at = 1, #found, 2 do
      if string.sub(found[at + 1], 1, 1) ~= '1' then
        local job = redis.call('HMGET', Q .. ':j:' .. found[at], 's', 'o')
        if not job[1] or job[1] == '4' or job[1] == '5' then return nil end
        links[found[at]] = job
      end
    end
    for before, job in pairs(links) do
      if job[1] == '3' then
        redis.call('HSET', Q .. ':b:' .. id, before, '1' .. (job[2] or ''))
      else
        state = 7
        add_link(Q, before, 1)
        redis.call('SADD', Q .. ':d:' .. before, id)
        redis.call('HSET', Q .. ':b:' .. id, before, '0')
      end
    end
    return state
  end

  return deps
end

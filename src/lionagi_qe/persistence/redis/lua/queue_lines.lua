-- The lines that jobs with a limit key wait in, see contract/limits.py. Of the queue <q>, under
-- Q = P:q:<q> :
--   Q:m       hash of a queue that has limits or keys: on, 1; queue and key, its limits, each
--             "concurrency rate period burst" with - for none; turn of the queue's own line (Q:r), tat of
--             the whole queue; ready, how many jobs are in the lines of keys
--   Q:k       sorted set of lines in turn, "turn:key" by the priority of the next job or a lower one
--   Q:kt      hash of their keys to their turns
--   Q:kn      the turn last given
--   Q:kw      sorted set of keys that wait for their rate, by until when in ms
--   Q:kp      set of keys that wait for an end of one of their jobs
--   Q:kl      sorted set of the keys in whose lines jobs wait, by name
--   Q:kc      hash of keys to how many of their jobs are claimed
-- and P:ql:<length of q>:<q>:<key>, a line: sorted set of ready jobs "place:id" by priority;
-- P:qg:<the same>, its tat in ms, which expires natively once it is past.

-- A script makes these functions when it first needs them: most queues have no lines, and making functions
-- is a good part of what a short script costs.

local PLACE_WIDTH = 16
local made

local function lines_of_keys()
  if made then return made end
  local lines = {}
  made = lines

  function lines.key_of(place)
    return string.sub(place, PLACE_WIDTH + 2)
  end

  function lines.of_line(kind, Q, key)
    local queue = string.sub(Q, #P + 4)
    return P .. ':' .. kind .. ':' .. #queue .. ':' .. queue .. ':' .. key
  end

  function lines.next_turn(Q)
    return string.format('%016.0f', redis.call('INCR', Q .. ':kn'))
  end

  -- Puts a line in turn, where it isn't; ``priority`` is that of a job that waits in it.
  function lines.enter_turn(Q, key, priority)
    local turn = redis.call('HGET', Q .. ':kt', key)
    if turn then
      local member = turn .. ':' .. key
      if tonumber(redis.call('ZSCORE', Q .. ':k', member)) > tonumber(priority) then
        redis.call('ZADD', Q .. ':k', priority, member)
      end
    elseif not redis.call('ZSCORE', Q .. ':kw', key) then
      turn = lines.next_turn(Q)
      redis.call('SREM', Q .. ':kp', key)
      redis.call('HSET', Q .. ':kt', key, turn)
      redis.call('ZADD', Q .. ':k', priority, turn .. ':' .. key)
    end
  end

  function lines.leave_turn(Q, key, turn)
    redis.call('ZREM', Q .. ':k', turn .. ':' .. key)
    redis.call('HDEL', Q .. ':kt', key)
  end

  -- Puts a line in turn if jobs wait in it.
  function lines.look_at_line(Q, key)
    local head = redis.call('ZRANGE', lines.of_line('ql', Q, key), 0, 0, 'WITHSCORES')
    if head[1] then lines.enter_turn(Q, key, head[2]) end
  end

  function lines.join_line(Q, id, place, priority)
    local key = lines.key_of(place)
    local member = string.sub(place, 1, PLACE_WIDTH) .. ':' .. id
    if redis.call('ZADD', lines.of_line('ql', Q, key), priority, member) == 1 then
      redis.call('HINCRBY', Q .. ':m', 'ready', 1)
      redis.call('ZADD', Q .. ':kl', 0, key)
    end
    lines.enter_turn(Q, key, priority)
  end

  -- Takes a job, "place:id", out of its line.
  function lines.take(Q, key, member)
    local line = lines.of_line('ql', Q, key)
    if redis.call('ZREM', line, member) == 1 then
      redis.call('HINCRBY', Q .. ':m', 'ready', -1)
      if redis.call('EXISTS', line) == 0 then redis.call('ZREM', Q .. ':kl', key) end
    end
  end

  function lines.quit_line(Q, id, place)
    lines.take(Q, lines.key_of(place), string.sub(place, 1, PLACE_WIDTH) .. ':' .. id)
  end

  -- A job with a key that was claimed is so no more.
  function lines.free_place(Q, place)
    local key = lines.key_of(place)
    if redis.call('HINCRBY', Q .. ':kc', key, -1) < 1 then redis.call('HDEL', Q .. ':kc', key) end
    lines.look_at_line(Q, key)
  end

  -- Whoever waits for their rates and may go on by now does so.
  function lines.free_by_time(Q, until_ms)
    for _, key in ipairs(redis.call('ZRANGEBYSCORE', Q .. ':kw', '-inf', until_ms)) do
      redis.call('ZREM', Q .. ':kw', key)
      lines.look_at_line(Q, key)
    end
  end

  return lines
end

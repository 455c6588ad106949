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
--   Q:kc      hash of keys to how many of their jobs are claimed
-- and P:ql:<length of q>:<q>:<key>, a line: sorted set of ready jobs "place:id" by priority;
-- P:qg:<the same>, its tat in ms, which expires natively once it is past.

local PLACE_WIDTH = 16

local function key_of(place)
  if #place > PLACE_WIDTH then return string.sub(place, PLACE_WIDTH + 2) end
end

local function of_line(kind, Q, key)
  local queue = string.sub(Q, #P + 4)
  return P .. ':' .. kind .. ':' .. #queue .. ':' .. queue .. ':' .. key
end

local function next_turn(Q)
  return string.format('%016.0f', redis.call('INCR', Q .. ':kn'))
end

-- Puts a line in turn, where it isn't; ``priority`` is that of a job that waits in it.
local function enter_turn(Q, key, priority)
  local turn = redis.call('HGET', Q .. ':kt', key)
  if turn then
    local member = turn .. ':' .. key
    if tonumber(redis.call('ZSCORE', Q .. ':k', member)) > tonumber(priority) then
      redis.call('ZADD', Q .. ':k', priority, member)
    end
  elseif not redis.call('ZSCORE', Q .. ':kw', key) then
    turn = next_turn(Q)
    redis.call('SREM', Q .. ':kp', key)
    redis.call('HSET', Q .. ':kt', key, turn)
    redis.call('ZADD', Q .. ':k', priority, turn .. ':' .. key)
  end
end

local function leave_turn(Q, key, turn)
  redis.call('ZREM', Q .. ':k', turn .. ':' .. key)
  redis.call('HDEL', Q .. ':kt', key)
end

-- Puts a line in turn if jobs wait in it.
local function look_at_line(Q, key)
  local head = redis.call('ZRANGE', of_line('ql', Q, key), 0, 0, 'WITHSCORES')
  if head[1] then enter_turn(Q, key, head[2]) end
end

local function join_line(Q, key, id, place, priority)
  local member = string.sub(place, 1, PLACE_WIDTH) .. ':' .. id
  local added = redis.call('ZADD', of_line('ql', Q, key), priority, member)
  if added == 1 then redis.call('HINCRBY', Q .. ':m', 'ready', 1) end
  enter_turn(Q, key, priority)
end

local function quit_line(Q, key, id, place)
  local member = string.sub(place, 1, PLACE_WIDTH) .. ':' .. id
  if redis.call('ZREM', of_line('ql', Q, key), member) == 1 then
    redis.call('HINCRBY', Q .. ':m', 'ready', -1)
  end
end

-- A job that was claimed is so no more; nothing for jobs without a key.
local function free_place(Q, place)
  local key = key_of(place)
  if not key then return end
  if redis.call('HINCRBY', Q .. ':kc', key, -1) < 1 then redis.call('HDEL', Q .. ':kc', key) end
  look_at_line(Q, key)
end

-- Whoever waits for their rates and may go on by now does so.
local function free_by_time(Q, until_ms)
  for _, key in ipairs(redis.call('ZRANGEBYSCORE', Q .. ':kw', '-inf', until_ms)) do
    redis.call('ZREM', Q .. ':kw', key)
    look_at_line(Q, key)
  end
end

-- Claims jobs of a queue that has limits or keys: calls ``hand_out`` with the place and id of each,
-- ``count`` at most. Returns how many, and in how many ms more may be had because of a rate or since enough
-- was looked at, nil if not for that.
local function claim_in_turn(Q, count, hand_out)
  local MOST_PASSED, ROUNDING = 1000, 1e-6
  local lines = lines_of_keys()

  -- Returns a limit as it is stored; spacing: how far jobs of a rate lie apart in ms.
  local function limit_of(text)
    local concurrency, rate, period, burst = string.match(text or '', '^(%S+) (%S+) (%S+) (%S+)$')
    rate = tonumber(rate)
    return {
      concurrency = tonumber(concurrency), rate = rate, burst = tonumber(burst),
      spacing = rate and period / rate,
    }
  end

  -- Until when jobs that began fill a rate, by the generic cell rate algorithm. What a former, slower rate
  -- left counts up to one burst.
  local function filled_to(limit, tat)
    return math.min(math.max(tonumber(tat or 0), now), now + limit.burst * limit.spacing)
  end

  -- In how many ms one may begin, not above 0 for now.
  local function wait_of(limit, filled)
    return filled - now - (limit.burst - 1 + ROUNDING) * limit.spacing
  end

  local function keep_rate(Q, key, tat)
    redis.call('SET', lines.of_line('qg', Q, key), string.format('%.17g', tat), 'PX',
      number(math.max(1, math.ceil(tat - now))))
  end

  -- Returns the member of a line's next job, or nil if the line had to be passed over, out of turn.
  local function next_of_line(Q, key, turn, priority, limit)
    local head = redis.call('ZRANGE', lines.of_line('ql', Q, key), 0, 0, 'WITHSCORES')
    if not head[1] then
      lines.leave_turn(Q, key, turn)
      return nil
    end
    if tonumber(head[2]) > priority then
      redis.call('ZADD', Q .. ':k', head[2], turn .. ':' .. key)
      return nil
    end
    local claimed = tonumber(redis.call('HGET', Q .. ':kc', key) or 0)
    if limit.concurrency and claimed >= limit.concurrency then
      lines.leave_turn(Q, key, turn)
      redis.call('SADD', Q .. ':kp', key)
      return nil
    end
    if limit.rate then
      local filled = filled_to(limit, redis.call('GET', lines.of_line('qg', Q, key)))
      local wait = wait_of(limit, filled)
      if wait > 0 then
        lines.leave_turn(Q, key, turn)
        redis.call('ZADD', Q .. ':kw', number(now + math.ceil(wait)), key)
        keep_rate(Q, key, filled)
        return nil
      end
      keep_rate(Q, key, filled + limit.spacing)
    end
    return head[1]
  end

  local state = redis.call('HMGET', Q .. ':m', 'queue', 'key', 'turn', 'tat')
  local of_queue, of_key, own_turn = limit_of(state[1]), limit_of(state[2]), tonumber(state[3] or 0)
  local room, filled = count, nil
  if of_queue.concurrency then
    room = math.min(room, of_queue.concurrency - redis.call('ZCARD', Q .. ':l'))
  end
  if of_queue.rate then
    filled = filled_to(of_queue, state[4])
    room = math.min(room, math.floor(of_queue.burst - (filled - now) / of_queue.spacing + ROUNDING))
  end
  if room > 0 then lines.free_by_time(Q, number(now)) end
  local found, passed = 0, 0

  local function claim_own(most)
    local picked = redis.call('ZPOPMIN', Q .. ':r', most)
    for i = 1, #picked, 2 do hand_out(picked[i]) end
    found = found + #picked / 2
    own_turn = tonumber(lines.next_turn(Q))
  end

  while found < room and passed <= MOST_PASSED do
    local line = redis.call('ZRANGE', Q .. ':k', 0, 0, 'WITHSCORES')
    local own = redis.call('ZRANGE', Q .. ':r', 0, 0, 'WITHSCORES')
    local turn, key = string.match(line[1] or '', '^(%d+):(.*)$')
    local priority, own_priority = tonumber(line[2]), tonumber(own[2])
    if not turn then
      if own_priority then claim_own(room - found) end
      break
    elseif own_priority and (own_priority < priority
        or own_priority == priority and own_turn <= tonumber(turn)) then
      claim_own(1)
    else
      local member = next_of_line(Q, key, turn, priority, of_key)
      if member then
        lines.take(Q, key, member)
        redis.call('HINCRBY', Q .. ':kc', key, 1)
        hand_out(member)
        found = found + 1
        lines.leave_turn(Q, key, turn)
        lines.look_at_line(Q, key)
      else
        passed = passed + 1
      end
    end
  end

  redis.call('HSET', Q .. ':m', 'turn', number(own_turn))
  local wait = passed > MOST_PASSED and 0 or nil
  if filled then
    filled = filled + found * of_queue.spacing
    redis.call('HSET', Q .. ':m', 'tat', string.format('%.17g', filled))
    local left = wait_of(of_queue, filled)
    if left > 0 then wait = math.min(wait or left, left) end
  end
  local free = redis.call('ZRANGE', Q .. ':kw', 0, 0, 'WITHSCORES')[2]
  if free then wait = math.min(wait or free - now, free - now) end
  return found, wait and math.max(0, math.ceil(wait))
end

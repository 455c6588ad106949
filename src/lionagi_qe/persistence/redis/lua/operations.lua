-- Operations on entries, each of WIDTH words: kind (p put, d delete, a add, t touch, l learn), key,
-- payload, partition, ttl in ms, expected revision, keep; "" for none.

local WIDTH = 7

local function conflict(kind, expected, entry)
  if expected == '' then return false end
  if entry then return entry.revision ~= expected end
  return expected ~= '0' or kind == 'd'
end

local function as_float(value)
  local text = string.format('%.17g', value)
  if not string.find(text, '[.e]') then text = text .. '.0' end
  return text
end

-- Adds JSON numbers given as text. Integers go through the server's own 64-bit arithmetic, since
-- Lua has only doubles. Nil when the sum does not fit.
local function add(a, b)
  if not string.find(a .. b, '[.eE]') then
    local scratch = P .. ':s'
    redis.call('SET', scratch, a)
    local done = redis.pcall('INCRBY', scratch, b)
    local total = redis.call('GET', scratch)
    redis.call('DEL', scratch)
    if type(done) == 'table' and done.err then return nil end
    return total
  end
  local total = tonumber(a) + tonumber(b)
  if total ~= total or total == math.huge or total == -math.huge then return nil end
  return as_float(total)
end

local LONGEST_LEARNED = 512

-- Returns q and visits of a stored learned value, or nil if it is none.
local function stored_learned(key)
  local name = P .. ':e:' .. key
  if redis.call('STRLEN', name) > LONGEST_LEARNED then return nil end
  local text = string.match(redis.call('GET', name), '^[^\n]*\n({.*})$') or ''
  local q = tonumber(string.match(text, '"q":([^,}]+)'))
  local visits = tonumber(string.match(text, '"visits":(%d+)'))
  if not q or not visits or not string.find(text, '"schema":1[,}]') then return nil end
  return q, visits
end

-- Takes the steps of a JSON list {start, initial rate, power, floor, target, ...}.
local function learned(steps, q, visits)
  steps = cjson.decode(steps)
  q, visits = q or steps[1], visits or 0
  for i = 5, #steps do
    local rate = math.max(steps[4], steps[2] / (1 + visits) ^ steps[3])
    q = q + rate * (steps[i] - q)
    visits = visits + 1
  end
  return '{"schema":1,"q":' .. as_float(q) .. ',"visits":' .. number(visits) .. '}'
end

local LONGEST_NUMBER = 64
local LONGEST_HEADER = 256

local function stored_number(key)
  local name = P .. ':e:' .. key
  if redis.call('STRLEN', name) > LONGEST_HEADER + LONGEST_NUMBER then return nil end
  local text = string.match(redis.call('GET', name), '^[^\n]*\n(.*)$')
  if #text > LONGEST_NUMBER or not string.find(text, '^-?%d') then return nil end
  return text
end

local function put(key, payload, partition, ttl, keep, entry, revision)
  local created, expires, expiry = number(now), '-', nil
  if entry then created = entry.created end
  if entry and keep then
    partition, expires = entry.partition, entry.expires
  elseif ttl ~= '' then
    expires = number(now + ttl)
  end
  local head = revision .. ' ' .. created .. ' ' .. number(now) .. ' ' .. expires .. ' '
    .. partition .. '\n'
  local name = P .. ':e:' .. key
  if entry and keep then
    redis.call('SET', name, head .. payload, 'KEEPTTL')
  elseif ttl ~= '' then
    redis.call('SET', name, head .. payload, 'PX', ttl)
  else
    redis.call('SET', name, head .. payload)
  end
  redis.call('ZADD', P .. ':r', revision, key)

  local before = entry and entry.partition
  local had_expiry = entry and entry.expires ~= '-'
  if not entry then
    -- One that expired may still stand in the indexes.
    before = redis.call('HGET', P .. ':xp', key)
    had_expiry = before
    redis.call('ZADD', P .. ':i', 0, key)
    redis.call('ZREM', P .. ':t', key)
  end
  if before ~= partition then
    if before then leave_partition(key, before) end
    redis.call('ZADD', P .. ':p:' .. partition, 0, key)
    redis.call('SADD', P .. ':ps', partition)
  end
  if expires ~= '-' then
    redis.call('ZADD', P .. ':x', expires, key)
    redis.call('HSET', P .. ':xp', key, partition)
  elseif had_expiry then
    redis.call('ZREM', P .. ':x', key)
    redis.call('HDEL', P .. ':xp', key)
  end
end

local function touch(key, ttl, entry)
  local name = P .. ':e:' .. key
  local body = string.match(redis.call('GET', name), '^[^\n]*(\n.*)$')
  local expires = ttl == '' and '-' or number(now + ttl)
  local value = entry.revision .. ' ' .. entry.created .. ' ' .. entry.updated .. ' ' .. expires
    .. ' ' .. entry.partition .. body
  if ttl == '' then
    redis.call('SET', name, value)
    redis.call('ZREM', P .. ':x', key)
    redis.call('HDEL', P .. ':xp', key)
  else
    redis.call('SET', name, value, 'PX', ttl)
    redis.call('ZADD', P .. ':x', expires, key)
    redis.call('HSET', P .. ':xp', key, entry.partition)
  end
end

-- Returns {position, status, figure} of the first operation that would fail, changing nothing. The
-- operations follow ARGV[first]; their keys are distinct.
local function first_failure(first, count, stale)
  for i = 1, count do
    local at = first + (i - 1) * WIDTH
    local kind, key, expected = ARGV[at + 1], ARGV[at + 2], ARGV[at + 6]
    if stale[i] then return {i, 'stale', ''} end
    if expected ~= '' or kind == 'a' or kind == 'l' then
      local entry = read(key)
      if conflict(kind, expected, entry) then
        return {i, 'conflict', entry and entry.revision or ''}
      end
      if kind == 'l' and entry and not stored_learned(key) then return {i, 'not_learned', ''} end
      if kind == 'a' and entry then
        local value = stored_number(key)
        if not value then return {i, 'not_a_number', ''} end
        if not add(value, ARGV[at + 3]) then return {i, 'overflow', ''} end
      end
    end
  end
end

-- Applies the operations that follow ARGV[first], in order; returns a list of status and figure.
local function apply(first, count, stale)
  local revision = redis.call('INCRBY', P .. ':n', count) - count
  local answers = {}

  for i = 1, count do
    local at = first + (i - 1) * WIDTH
    local kind, key, payload = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    local partition, ttl = ARGV[at + 4], ARGV[at + 5]
    local expected, keep = ARGV[at + 6], ARGV[at + 7] == '1'
    local entry = read(key)
    local mine = number(revision + i)
    local status, figure = 'ok', ''
    if stale[i] then
      status = 'stale'
    elseif conflict(kind, expected, entry) then
      status, figure = 'conflict', entry and entry.revision or ''
    elseif kind == 'p' then
      put(key, payload, partition, ttl, keep, entry, mine)
      figure = mine
    elseif kind == 'd' then
      if entry then bury(key, entry.partition, mine, 0) end
      figure = entry and '1' or '0'
    elseif kind == 't' then
      if entry then touch(key, ttl, entry) end
      figure = entry and '1' or '0'
    elseif kind == 'l' then
      local q, visits
      if entry then q, visits = stored_learned(key) end
      if entry and not q then
        status = 'not_learned'
      else
        figure = learned(payload, q, visits)
        put(key, figure, partition, ttl, true, entry, mine)
      end
    else
      local total = payload
      if entry then
        local value = stored_number(key)
        total = value and add(value, payload)
        if not total then status = value and 'overflow' or 'not_a_number' end
      end
      if total then
        put(key, total, partition, ttl, true, entry, mine)
        figure = total
      end
    end
    answers[#answers + 1] = status
    answers[#answers + 1] = figure
  end
  return answers
end

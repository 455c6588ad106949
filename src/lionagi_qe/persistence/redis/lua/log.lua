-- Reads what changed in a shard, in order of revisions. ARGV: P, revision after which, newest
-- forgotten one that need not be known, prefix of keys, limit, most bytes, "1" for values, "1" to
-- bury what has expired. Answers {"lost" or "rewound" or "", revision read up to, "1" if there is
-- more, key, revision, kind (0 stored, 1 deleted, 2 expired), value with its header, ...}. With no
-- revision: {newest, newest forgotten, time in ms}.

local forgotten = tonumber(redis.call('GET', P .. ':f') or 0)
if ARGV[2] == '' then
  return {redis.call('GET', P .. ':n') or '0', number(forgotten), number(now)}
end

local after, known, prefix = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local limit, room, values = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7] == '1'
if forgotten > math.max(after, known) then return {'lost'} end
if ARGV[8] == '1' then
  write_when_full()
  bury_due(limit)
end
local newest = tonumber(redis.call('GET', P .. ':n') or 0)
if newest < after then return {'rewound'} end

-- Tells what became of a key that has no entry: nil if that is not known yet.
local function removal(key)
  local removed = redis.call('ZSCORE', P .. ':t', key)
  if removed then return 1 + tonumber(removed) % 2 end
  if redis.call('ZSCORE', P .. ':x', key) then return nil end
  -- The server evicted it to save memory.
  return 2
end

local changes = redis.call('ZRANGEBYSCORE', P .. ':r', '(' .. number(after), '+inf', 'WITHSCORES',
  'LIMIT', 0, limit)
local answer = {'', '', ''}
local more = #changes == 2 * limit
for i = 1, #changes, 2 do
  local key, revision = changes[i], number(tonumber(changes[i + 1]))
  after = revision
  if string.sub(key, 1, #prefix) == prefix then
    local kind, value = 0, ''
    if values then
      local raw = redis.call('GET', P .. ':e:' .. key)
      if raw then
        value = raw
        room = room - #raw
      else
        kind = removal(key)
      end
    elseif redis.call('EXISTS', P .. ':e:' .. key) == 0 then
      kind = removal(key)
    end
    if kind then
      answer[#answer + 1] = key
      answer[#answer + 1] = revision
      answer[#answer + 1] = kind
      answer[#answer + 1] = value
      if room <= 0 then
        more = true
        break
      end
    end
  end
end
answer[2] = more and after or number(newest)
answer[3] = more and '1' or ''
return answer

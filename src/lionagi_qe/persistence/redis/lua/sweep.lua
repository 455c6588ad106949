-- Clears the indexes of expired entries, and lets old tombstones go. ARGV: P, limit, age of
-- tombstones in ms. Answers {expired, "1" if more is due}.

local limit = tonumber(ARGV[2])
local expired, seen = 0, 0
for _, key in ipairs(redis.call('ZRANGEBYSCORE', P .. ':x', '-inf', now, 'LIMIT', 0, limit)) do
  if redis.call('EXISTS', P .. ':e:' .. key) == 0 then
    bury(key, redis.call('HGET', P .. ':xp', key), redis.call('INCR', P .. ':n'), 1)
    expired = expired + 1
  end
  seen = seen + 1
end
local oldest = number((now - ARGV[3]) * 2 + 1)
local gone = redis.call('ZRANGEBYSCORE', P .. ':t', '-inf', oldest, 'LIMIT', 0, limit)
for _, key in ipairs(gone) do
  redis.call('ZREM', P .. ':t', key)
  redis.call('ZREM', P .. ':r', key)
end
local more = (seen == limit and expired > 0) or #gone == limit
return {expired, more and '1' or ''}

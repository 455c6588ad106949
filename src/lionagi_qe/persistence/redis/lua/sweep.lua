-- Clears the indexes of expired entries, and lets old tombstones go. ARGV: P, limit, age of
-- tombstones in ms. Answers {expired, "1" if more is due}.

local limit = tonumber(ARGV[2])
write_when_full()
local seen, expired = bury_due(limit)
local oldest = number((now - ARGV[3]) * 2 + 1)
local gone = redis.call('ZRANGEBYSCORE', P .. ':t', '-inf', oldest, 'LIMIT', 0, limit)
local forgotten = tonumber(redis.call('GET', P .. ':f') or 0)
for _, key in ipairs(gone) do
  forgotten = math.max(forgotten, tonumber(redis.call('ZSCORE', P .. ':r', key)))
  redis.call('ZREM', P .. ':t', key)
  redis.call('ZREM', P .. ':r', key)
end
if #gone > 0 then redis.call('SET', P .. ':f', number(forgotten)) end
local more = (seen == limit and expired > 0) or #gone == limit
return {expired, more and '1' or ''}

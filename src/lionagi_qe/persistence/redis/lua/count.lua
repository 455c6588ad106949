-- Counts a shard. ARGV: P, most expired ones to assign to their partitions, sample size. Answers
-- {indexed, expired, exact, sampled, their bytes, partition, indexed there, ...}; expired ones
-- are taken off their partitions as far as they were looked at.

local most, sample = tonumber(ARGV[2]), tonumber(ARGV[3])
local expired = redis.call('ZCOUNT', P .. ':x', '-inf', now)
local off = {}
for _, key in ipairs(redis.call('ZRANGEBYSCORE', P .. ':x', '-inf', now, 'LIMIT', 0, most)) do
  local partition = redis.call('HGET', P .. ':xp', key)
  off[partition] = (off[partition] or 0) + 1
end
local indexed = redis.call('ZCARD', P .. ':i')
local keys
if indexed <= sample then
  keys = redis.call('ZRANGE', P .. ':i', 0, -1)
else
  keys = redis.call('ZRANDMEMBER', P .. ':i', sample)
end
local sampled, bytes = 0, 0
for _, key in ipairs(keys) do
  local raw = redis.call('GETRANGE', P .. ':e:' .. key, 0, 255)
  local head = string.match(raw, '^[^\n]*\n')
  if head then
    sampled = sampled + 1
    bytes = bytes + redis.call('STRLEN', P .. ':e:' .. key) - #head
  end
end
local exact = expired <= most and indexed <= sample
local answer = {indexed, expired, exact and 1 or 0, sampled, bytes}
for _, partition in ipairs(redis.call('SMEMBERS', P .. ':ps')) do
  answer[#answer + 1] = partition
  answer[#answer + 1] = redis.call('ZCARD', P .. ':p:' .. partition) - (off[partition] or 0)
end
return answer

-- Deletes entries of a partition up to a revision. ARGV: P, partition, lower ZRANGEBYLEX bound,
-- newest revision, limit. Answers {deleted, last key or ""}.

local partition, newest, limit = ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5])
local keys = redis.call('ZRANGEBYLEX', P .. ':p:' .. partition, ARGV[3], '+', 'LIMIT', 0, limit)
local deleted = 0
write_when_full()
for _, key in ipairs(keys) do
  local entry = read(key)
  if not entry then
    bury(key, partition, redis.call('INCR', P .. ':n'), 1)
  elseif tonumber(entry.revision) <= newest then
    bury(key, partition, redis.call('INCR', P .. ':n'), 0)
    deleted = deleted + 1
  end
end
return {deleted, #keys == limit and keys[limit] or ''}

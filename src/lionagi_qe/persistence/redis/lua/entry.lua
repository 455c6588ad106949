-- What every script knows: where a shard's keys lie and what an entry looks like.
--
-- Under the shard's prefix P (which holds the hash tag, so all of a shard is in one slot):
--   P:e:<key>        "revision created updated expires partition\n" and the JSON; times in ms,
--                    expires "-" for never; expires natively
--   P:i              sorted set of all keys, by name
--   P:p:<partition>  sorted set of a partition's keys, by name
--   P:ps             set of partitions
--   P:x, P:xp        keys with an expiry: sorted set by time in ms, hash of their partitions; they
--                    outlive the entry, until a sweep or a new entry clears the indexes
--   P:r              sorted set of keys by revision, deleted and expired ones included
--   P:t              sorted set of those, by 2 * time of removal in ms (+ 1 if expired)
--   P:f              the newest revision whose tombstone was let go
--   P:n              the revision counter
--   P:s              scratch, never kept
--   P:l:<lease>      "token ends holder": who may change what is fenced, until when in ms

local P = ARGV[1]

local function number(value)
  return string.format('%.0f', value)
end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- Lets the rest of a script write although the server has no memory left: it refuses only what would
-- be a script's first write. For scripts that remove, or that add next to nothing.
local function write_when_full()
  redis.call('DEL', P .. ':s')
end

-- Returns the header's fields (revision as text), or nil for a missing or expired entry.
local function header(raw)
  if not raw or raw == '' then return nil end
  local revision, created, updated, expires, partition =
    string.match(raw, '^(%d+) (%d+) (%d+) (%S+) ([^\n]*)\n')
  return {revision = revision, created = created, updated = updated, expires = expires,
          partition = partition}
end

local function read(key)
  return header(redis.call('GETRANGE', P .. ':e:' .. key, 0, 255))
end

local function leave_partition(key, partition)
  redis.call('ZREM', P .. ':p:' .. partition, key)
  if redis.call('EXISTS', P .. ':p:' .. partition) == 0 then
    redis.call('SREM', P .. ':ps', partition)
  end
end

-- Takes an entry out of all indexes and leaves a tombstone; kind 0 deleted, 1 expired.
local function bury(key, partition, revision, kind)
  redis.call('DEL', P .. ':e:' .. key)
  redis.call('ZREM', P .. ':i', key)
  leave_partition(key, partition)
  redis.call('ZREM', P .. ':x', key)
  redis.call('HDEL', P .. ':xp', key)
  redis.call('ZADD', P .. ':r', revision, key)
  redis.call('ZADD', P .. ':t', number(now * 2 + kind), key)
end

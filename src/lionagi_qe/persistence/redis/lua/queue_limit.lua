-- Limits of a queue. ARGV: P, what, queue, then
--   put per concurrency rate period burst   (- for none)
--   read                                    -> {the queue's, each key's}, as they are stored

local what, queue = ARGV[2], ARGV[3]
local Q = P .. ':q:' .. queue

if what == 'read' then return redis.call('HMGET', Q .. ':m', 'queue', 'key') end

redis.call('SADD', P .. ':qs', queue)
redis.call('HSET', Q .. ':m', 'on', 1)
if ARGV[5] == '-' and ARGV[6] == '-' then
  redis.call('HDEL', Q .. ':m', ARGV[4])
else
  redis.call('HSET', Q .. ':m', ARGV[4], table.concat({ARGV[5], ARGV[6], ARGV[7], ARGV[8]}, ' '))
end
lines_of_keys().free_by_time(Q, '+inf')
for _, key in ipairs(redis.call('SMEMBERS', Q .. ':kp')) do
  redis.call('SREM', Q .. ':kp', key)
  lines_of_keys().look_at_line(Q, key)
end
for _, id in ipairs(redis.call('ZRANGE', Q .. ':l', 0, -1)) do
  redis.call('HSET', Q .. ':j:' .. id, 'e', 1)
end
redis.call('PUBLISH', Q, '')

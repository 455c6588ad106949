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
free_by_time(Q, '+inf')
for _, key in ipairs(redis.call('SMEMBERS', Q .. ':kp')) do
  redis.call('SREM', Q .. ':kp', key)
  look_at_line(Q, key)
end
redis.call('PUBLISH', Q, '')

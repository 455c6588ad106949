-- Revives or purges dead jobs; one whose dedupe key an unended job has by now stays dead. ARGV: P, "revive" or "purge", queue, id, ... Answers how many.

local what, Q = ARGV[2], queue_of(ARGV[3])
local changed = 0
write_when_full()
for i = 4, #ARGV do
  local id = ARGV[i]
  local name = Q .. ':j:' .. id
  local key = redis.call('HGET', name, 'd')
  local twin = what == 'revive' and key and redis.call('HEXISTS', Q .. ':u', key) == 1
  if not twin and redis.call('ZREM', Q .. ':x', id) == 1 then
    changed = changed + 1
    if what == 'purge' then
      redis.call('DEL', name)
    else
      local job = redis.call('HMGET', name, 'n', 'y')
      redis.call('HSET', name, 's', 1, 'a', 0)
      if key then redis.call('HSET', Q .. ':u', key, id) end
      line_up(Q, id, job[1], job[2])
    end
  end
end
if what == 'revive' and changed > 0 then redis.call('PUBLISH', Q, '') end
return changed

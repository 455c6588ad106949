-- Revives or purges dead jobs; one whose dedupe key an unended job has by now stays dead. ARGV: P, "revive" or "purge", queue, id, ... Answers how many.

local what, Q = ARGV[2], queue_of(ARGV[3])
local changed, ids, places = 0, {}, {}
write_when_full()
for i = 4, #ARGV do
  ids[#ids + 1] = ARGV[i]
  places[ARGV[i]] = redis.call('HGET', Q .. ':j:' .. ARGV[i], 'n') or ''
end
-- In the order of their putting: one that another comes after is before it.
table.sort(ids, function(one, other) return places[one] < places[other] end)
for _, id in ipairs(ids) do
  local name = Q .. ':j:' .. id
  local key = redis.call('HGET', name, 'd')
  local links = tonumber(redis.call('HGET', name, 'z') or 0)
  local state = 1
  if what == 'revive' and links > 0 and redis.call('ZSCORE', Q .. ':x', id) then
    if links >= 8 then
      state = batches_of_jobs().may_call(Q, id)
    else
      state = dependencies_of_jobs().may_revive(Q, id)
    end
  end
  local twin = what == 'revive' and key and redis.call('HEXISTS', Q .. ':u', key) == 1
  if state and not twin and redis.call('ZREM', Q .. ':x', id) == 1 then
    changed = changed + 1
    if what == 'purge' then
      redis.call('DEL', name, Q .. ':b:' .. id)
      if links >= 8 then batches_of_jobs().purge(Q, id) end
    else
      local job = redis.call('HMGET', name, 'n', 'y')
      redis.call('HSET', name, 's', state, 'a', 0)
      if key then redis.call('HSET', Q .. ':u', key, id) end
      if state == 7 then
        redis.call('ZADD', Q .. ':a', string.sub(job[1], 1, PLACE_WIDTH), id)
      else
        line_up(Q, id, job[1], job[2])
      end
      if links % 8 >= 4 then batches_of_jobs().revived(Q, id) end
    end
  end
end
if what == 'revive' and changed > 0 then redis.call('PUBLISH', Q, '') end
return changed

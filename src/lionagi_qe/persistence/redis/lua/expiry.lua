-- Turns up to `limit` expired entries into tombstones; returns how many it looked at and turned.
local function bury_due(limit)
  local due = redis.call('ZRANGEBYSCORE', P .. ':x', '-inf', now, 'LIMIT', 0, limit)
  local buried = 0
  for _, key in ipairs(due) do
    if redis.call('EXISTS', P .. ':e:' .. key) == 0 then
      bury(key, redis.call('HGET', P .. ':xp', key), redis.call('INCR', P .. ':n'), 1)
      buried = buried + 1
    end
  end
  return #due, buried
end

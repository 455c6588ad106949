-- A lease's state in one shard. ARGV: P, action, name, then what the action needs. A lease's home
-- shard decides; the other shards of a cluster hold copies, so that a fence is checked where the
-- entry lies. See entry.lua for the key; what ended is kept KEPT ms, so that an older token never
-- counts as new.
--   acquire holder ttl        -> {token, holder, remaining ms, ends at ms}
--   extend token ttl          -> ends at ms, or "" if the lease was lost
--   copy token holder ends    -> 1, or 0 if a greater token is known here
--   exchange old new          -> 1 if ``old`` held it, and is ``new`` now
--   look                      -> {token, holder, remaining ms} or {}
-- P:ls, in the home shard: sorted set of held leases, by when they end in ms.

local KEPT = 3600000
local action, name = ARGV[2], ARGV[3]
local key = P .. ':l:' .. name
local token, ends, holder = lease(name)
local live = token and ends > now

local function set(new_token, new_ends, new_holder)
  write_when_full()
  local keep = math.max(new_ends - now, 0) + KEPT
  redis.call('SET', key, new_token .. ' ' .. number(new_ends) .. ' ' .. new_holder,
    'PX', number(keep))
end

-- Keeps the index of held leases, and lets those go that ended by themselves.
local function list(new_ends)
  redis.call('ZADD', P .. ':ls', number(new_ends), name)
  redis.call('ZREMRANGEBYSCORE', P .. ':ls', '-inf', number(now))
end

if action == 'acquire' then
  local asker, ttl = ARGV[4], tonumber(ARGV[5])
  if live and holder ~= asker then
    return {token, holder, number(ends - now), number(ends)}
  end
  write_when_full()
  if not live then token = number(redis.call('INCR', P .. ':n')) end
  set(token, now + ttl, asker)
  list(now + ttl)
  return {token, asker, number(ttl), number(now + ttl)}
elseif action == 'extend' then
  if not live or token ~= ARGV[4] then return '' end
  local new_ends = now + tonumber(ARGV[5])
  set(token, new_ends, holder)
  list(new_ends)
  return number(new_ends)
elseif action == 'exchange' then
  if not live or holder ~= ARGV[4] then return 0 end
  set(token, ends, ARGV[5])
  return 1
elseif action == 'copy' then
  if token and tonumber(token) > tonumber(ARGV[4]) then return 0 end
  set(ARGV[4], tonumber(ARGV[6]), ARGV[5])
  return 1
end
if not live then return {} end
return {token, holder, number(ends - now)}

-- Returns token (as text), end in ms, holder of a lease; nil if it is unknown.
local function lease(name)
  local token, ends, holder = string.match(redis.call('GET', P .. ':l:' .. name) or '',
    '^(%d+) (%d+) (.*)$')
  return token, tonumber(ends), holder
end

-- Whether a fence's token is its lease's current one and the lease has not ended.
local function is_fresh(name, token)
  local current, ends = lease(name)
  return current == token and ends > now
end

-- Reads the fences that follow ARGV[last] to the end, each of 3 words: the position of its
-- operation, the lease's name, the token. Returns the set of positions, less ``offset``, of those
-- that are stale.
local function stale_after(last, offset)
  local stale = {}
  for at = last, #ARGV - 3, 3 do
    if not is_fresh(ARGV[at + 2], ARGV[at + 3]) then stale[ARGV[at + 1] - offset] = true end
  end
  return stale
end

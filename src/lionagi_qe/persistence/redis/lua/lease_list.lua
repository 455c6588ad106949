-- Lists the held leases whose home is this shard. ARGV: P, name behind which to begin, limit. Answers of
-- each, by name: name, token, holder, remaining ms. Costs what is held, not what is told of it.

-- By bytes: the server's own comparison is that of its locale.
local function precedes(one, other)
  for at = 1, math.min(#one, #other) do
    local a, b = string.byte(one, at), string.byte(other, at)
    if a ~= b then return a < b end
  end
  return #one < #other
end

local after, limit = ARGV[2], tonumber(ARGV[3])
local names = {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', P .. ':ls', '(' .. number(now), '+inf')) do
  if precedes(after, name) then names[#names + 1] = name end
end
table.sort(names, precedes)
local answer = {}
for at = 1, math.min(#names, limit) do
  local token, ends, holder = lease(names[at])
  if token and ends > now then
    answer[#answer + 1] = names[at]
    answer[#answer + 1] = token
    answer[#answer + 1] = holder
    answer[#answer + 1] = number(ends - now)
  end
end
return answer

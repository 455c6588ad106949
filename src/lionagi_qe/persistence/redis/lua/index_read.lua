-- Looks into an index. ARGV: P, index, what, then
--   frequencies term ...             -> {documents, place of the last, of each term how many have it}
--   codes place limit                -> {number, place, code, ...} behind that place
--   documents terms number ...       -> of each its document, or false
--   holding terms term limit         -> {number, document, ...}
--   numbers term limit               -> {number, ...}
--   match most limit term weight ... -> {score, number, ...}
-- terms: whether documents come with their terms and weights.

local what = ARGV[3]
local documents = I .. ':d'

local function document_of(member, terms)
  local document = redis.call('HGET', documents, member)
  if not document or terms == '1' then return document end
  local revision, count, key, at = string.match(document, '^(%d+) (%d+) ([^\n]*)\n()')
  return revision .. ' 0 ' .. key .. '\n' .. string.sub(document, at + 12 * tonumber(count))
end

if what == 'frequencies' then
  local answer = {redis.call('HLEN', documents), redis.call('GET', I .. ':w') or '0'}
  for at = 4, #ARGV do answer[#answer + 1] = redis.call('ZCARD', postings_of(ARGV[at])) end
  return answer
elseif what == 'codes' then
  local answer = {}
  local found = redis.call(
    'ZRANGEBYSCORE', I .. ':p', '(' .. ARGV[4], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[5]
  )
  for at = 1, #found, 2 do
    answer[#answer + 1] = found[at]
    answer[#answer + 1] = found[at + 1]
    answer[#answer + 1] = redis.call('HGET', I .. ':c', found[at])
  end
  return answer
elseif what == 'documents' then
  local answer = {}
  for at = 5, #ARGV do answer[#answer + 1] = document_of(ARGV[at], ARGV[4]) end
  return answer
elseif what == 'numbers' then
  return redis.call('ZRANGE', postings_of(ARGV[4]), 0, ARGV[5] - 1)
elseif what == 'holding' then
  local answer = {}
  for _, member in ipairs(redis.call('ZRANGE', postings_of(ARGV[5]), 0, ARGV[6] - 1)) do
    answer[#answer + 1] = member
    answer[#answer + 1] = document_of(member, ARGV[4])
  end
  return answer
end

local most, limit = tonumber(ARGV[4]), tonumber(ARGV[5])
local sums, members, greatest = {}, {}, 0
for at = 6, #ARGV, 2 do
  local weight = tonumber(ARGV[at + 1])
  local found = redis.call('ZRANGE', postings_of(ARGV[at]), 0, most - 1, 'WITHSCORES')
  for i = 1, #found, 2 do
    local member = found[i]
    local sum = sums[member]
    if not sum then
      sum = 0
      members[#members + 1] = member
    end
    sum = sum - weight * tonumber(found[i + 1])
    sums[member] = sum
    if sum > greatest then greatest = sum end
  end
end
if greatest == 0 then return {} end

-- Only those that may be among the best are sorted: the ones in the highest of equal parts of the scale.
local parts = 1024
local counts, scale = {}, parts / greatest
for _, member in ipairs(members) do
  local part = math.floor(sums[member] * scale)
  counts[part] = (counts[part] or 0) + 1
end
local lowest, enough = parts, counts[parts] or 0
while enough < limit and lowest > 0 do
  lowest = lowest - 1
  enough = enough + (counts[lowest] or 0)
end
local best = {}
for _, member in ipairs(members) do
  if sums[member] > 0 and math.floor(sums[member] * scale) >= lowest then
    local high, low = struct.unpack('>I4I4', member)
    best[#best + 1] = {sums[member], high, low, member}
  end
end
table.sort(best, function(one, other)
  if one[1] ~= other[1] then return one[1] > other[1] end
  if one[2] ~= other[2] then return one[2] < other[2] end
  return one[3] < other[3]
end)
local answer = {}
for at = 1, math.min(limit, #best) do
  local member = best[at][4]
  answer[#answer + 1] = number(best[at][1])
  answer[#answer + 1] = member
end
return answer

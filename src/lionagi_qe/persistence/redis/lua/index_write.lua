-- Changes an index. ARGV: P, index, what, then
--   write expected position count, of each document number, document and code,
--                  numbers of those gone
--                  -> 1, or 0 if the index isn't where it was expected
--   drop limit     -> whether there may be more

local what = ARGV[3]

if what == 'drop' then
  write_when_full()
  redis.call('DEL', I .. ':m', I .. ':w')
  local some = redis.call('HRANDFIELD', I .. ':d', tonumber(ARGV[4]))
  for _, document_number in ipairs(some) do remove(document_number) end
  return redis.call('EXISTS', I .. ':d')
end

if (redis.call('GET', I .. ':m') or '') ~= ARGV[4] then return 0 end
local count = tonumber(ARGV[6])
if count == 0 then write_when_full() end
for at = 7 + 3 * count, #ARGV do remove(ARGV[at]) end
local micros = clock[1] * 1000000 + clock[2]
local place = tonumber(redis.call('GET', I .. ':w') or '0')
for at = 7, 6 + 3 * count, 3 do
  local document_number, document, code = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  remove(document_number)
  redis.call('HSET', I .. ':d', document_number, document)
  each_posting(document, function(term, weight)
    redis.call('ZADD', postings_of(term), -weight, document_number)
  end)
  if code ~= '' then
    place = math.max(place + 1, micros)
    redis.call('ZADD', I .. ':p', number(place), document_number)
    redis.call('HSET', I .. ':c', document_number, code)
  end
end
redis.call('SET', I .. ':w', number(place))
redis.call('SET', I .. ':m', ARGV[5])
return 1

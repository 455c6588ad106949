-- Exchanges sealed texts of jobs for the same, sealed anew. ARGV: P, what, queue, then
--   exchange {id field before old new} ...  -> how many were as they were read; field: of the job's hash, or
--                                              "b" for the result of job ``before`` that is kept with it,
--                                              "m" for what batch ``before`` keeps of it
--   results id ...                          -> {id, before, result, ...} of all that is kept with these

local what, Q = ARGV[2], queue_of(ARGV[3])

if what == 'results' then
  local answer = {}
  for at = 4, #ARGV do
    local links = redis.call('HGETALL', Q .. ':b:' .. ARGV[at])
    for link = 1, #links, 2 do
      if string.sub(links[link + 1], 1, 1) == '1' then
        answer[#answer + 1] = ARGV[at]
        answer[#answer + 1] = links[link]
        answer[#answer + 1] = string.sub(links[link + 1], 2)
      end
    end
  end
  return answer
end

local exchanged = 0
for at = 4, #ARGV, 5 do
  local name, field = Q .. ':j:' .. ARGV[at], ARGV[at + 1]
  local old, new = ARGV[at + 3], ARGV[at + 4]
  if field == 'b' then
    name, field, old, new = Q .. ':b:' .. ARGV[at], ARGV[at + 2], '1' .. old, '1' .. new
  end
  if field == 'm' then
    -- Behind the state that it has ended in, whichever that is.
    name, field = Q .. ':h:' .. ARGV[at + 2], ARGV[at]
    local state = string.sub(redis.call('HGET', name, field) or '0', 1, 1)
    old, new = state .. old, state .. new
  end
  if redis.call('HGET', name, field) == old then
    redis.call('HSET', name, field, new)
    exchanged = exchanged + 1
  end
end
return exchanged

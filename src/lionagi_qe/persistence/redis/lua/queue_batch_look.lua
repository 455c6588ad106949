-- Reads batches of jobs. ARGV: P, what, queue, then
--   find id                        -> as list, of one
--   list before limit              -> of each, the highest id first: id, state of its callback, whether all must
--                                     succeed, pending, done, dead, cancelled, created
--   jobs id after limit pending    -> of each, by id: id, state, result or error

local what, Q = ARGV[2], queue_of(ARGV[3])
local answer = {}

if what == 'jobs' then
  local jobs, limit, after = Q .. ':h:' .. ARGV[4], tonumber(ARGV[6]), ARGV[5]
  while true do
    local from = after == '' and '-' or '(' .. after
    local ids = redis.call('ZRANGEBYLEX', Q .. ':i:' .. ARGV[4], from, '+', 'LIMIT', 0, limit)
    for _, id in ipairs(ids) do
      local found = redis.call('HGET', jobs, id) or '0'
      local state = string.sub(found, 1, 1)
      if (ARGV[7] == '0' or state == '0') and #answer < limit * 3 then
        answer[#answer + 1] = id
        answer[#answer + 1] = state
        answer[#answer + 1] = string.sub(found, 2)
      end
    end
    if #ids < limit or #answer == limit * 3 then return answer end
    after = ids[#ids]
  end
end

local ids = {ARGV[4]}
if what == 'list' then
  local below = ARGV[4] == '' and '+' or '(' .. ARGV[4]
  ids = redis.call('ZREVRANGEBYLEX', Q .. ':g', below, '-', 'LIMIT', 0, ARGV[5])
end
for _, batch in ipairs(ids) do
  local found = redis.call('HMGET', Q .. ':g:' .. batch, 'w', 'p', '3', '4', '5', 't')
  local callback = redis.call('HMGET', Q .. ':j:' .. batch, 's', 'k')
  if found[1] and callback[1] then
    answer[#answer + 1] = batch
    answer[#answer + 1] = callback[1] == '2' and callback[2] and '6' or callback[1]
    for i = 1, 6 do answer[#answer + 1] = found[i] end
  end
end
return answer

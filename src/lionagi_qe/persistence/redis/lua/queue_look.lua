-- Reads jobs. ARGV: P, what, queue, then
--   find id ...        -> of each: id, state, priority, attempts, most attempts, payload, outcome,
--                         created, progress, limit key, failed attempts; nothing for unknown ones
--   dead after limit   -> the same but for the attempts, of dead jobs with ids above ``after``
--   results id         -> {id, result, ...} of the done jobs that a job comes after
--   details id         -> {when its delay, claim or keeping ends in ms or "0", dedupe key, batch or callback's own
--                         id, then id and state of each job that it comes after}; {} for an unknown one
--   count              -> {ready, delayed, claimed, done, dead, cancelled, waiting}

local what, Q = ARGV[2], queue_of(ARGV[3])

if what == 'count' then
  return {
    redis.call('ZCARD', Q .. ':r') + tonumber(redis.call('HGET', Q .. ':m', 'ready') or 0),
    redis.call('ZCARD', Q .. ':w'), redis.call('ZCARD', Q .. ':l'),
    redis.call('ZCOUNT', Q .. ':f', '(' .. number(now), '+inf'), redis.call('ZCARD', Q .. ':x'),
    redis.call('ZCOUNT', Q .. ':c', '(' .. number(now), '+inf'), redis.call('ZCARD', Q .. ':a'),
  }
elseif what == 'details' then
  local id = ARGV[4]
  local job = redis.call('HMGET', Q .. ':j:' .. id, 's', 'd', 'h', 'z')
  if not job[1] then return {} end
  local set = ({['0'] = ':w', ['2'] = ':l', ['3'] = ':f', ['5'] = ':c'})[job[1]]
  local due = set and redis.call('ZSCORE', Q .. set, id) or '0'
  local is_callback = tonumber(job[4] or 0) >= 8
  local answer = {due, job[2] or '', is_callback and id or job[3] or ''}
  local links = redis.call('HGETALL', Q .. ':b:' .. id)
  for at = 1, #links, 2 do
    answer[#answer + 1] = links[at]
    answer[#answer + 1] = string.sub(links[at + 1], 1, 1)
  end
  return answer
elseif what == 'results' then
  local links, answer = redis.call('HGETALL', Q .. ':b:' .. ARGV[4]), {}
  for at = 1, #links, 2 do
    if string.sub(links[at + 1], 1, 1) == '1' then
      answer[#answer + 1] = links[at]
      answer[#answer + 1] = string.sub(links[at + 1], 2)
    end
  end
  return answer
end

local ids = {}
if what == 'dead' then
  local bound = ARGV[4] == '' and '-' or '(' .. ARGV[4]
  ids = redis.call('ZRANGEBYLEX', Q .. ':x', bound, '+', 'LIMIT', 0, ARGV[5])
else
  for i = 4, #ARGV do ids[#ids + 1] = ARGV[i] end
end
local answer = {}
for _, id in ipairs(ids) do
  local job = redis.call('HMGET', Q .. ':j:' .. id, 's', 'y', 'a', 'm', 'p', 'o', 't', 'g', 'n', 'k', 'f')
  if job[1] then
    answer[#answer + 1] = id
    if job[1] == '2' and job[10] then job[1] = '6' end
    job[9] = #job[9] > PLACE_WIDTH and lines_of_keys().key_of(job[9])
    for i = 1, 9 do answer[#answer + 1] = job[i] end
    if what == 'find' then answer[#answer + 1] = job[11] end
  end
end
return answer

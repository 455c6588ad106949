-- Periodic jobs of a queue. Q:s is a hash of schedules by name, each four lines: version, until when in
-- ms all that was due is done with, rule, spec. ARGV: P, what, queue, then
--   put name rule spec version
--   exchange name old new             -> whether its spec was ``old``, and is ``new`` now
--   remove name                       -> whether it was there
--   read                              -> {now, of each: name, version, fired to, rule, spec}
--   restart name version expected ahead   -> whether it was done with so many ms to come, and begins now
--   fire name version expected until payload priority most dedupe id ...   -> whether it was as expected

local what, queue, name = ARGV[2], ARGV[3], ARGV[4]
local Q = queue_of(queue)
local schedules = Q .. ':s'

local function fields_of(schedule)
  return string.match(schedule or '', '^([^\n]*)\n([^\n]*)\n([^\n]*)\n(.*)$')
end

local function keep(version, fired_to, rule, spec)
  redis.call('HSET', schedules, name, table.concat({version, fired_to, rule, spec}, '\n'))
end

if what == 'read' then
  local answer = {number(now)}
  local found = redis.call('HGETALL', schedules)
  for i = 1, #found, 2 do
    answer[#answer + 1] = found[i]
    for _, field in ipairs({fields_of(found[i + 1])}) do answer[#answer + 1] = field end
  end
  return answer
elseif what == 'remove' then
  return redis.call('HDEL', schedules, name)
end

local version, fired_to, rule, spec = fields_of(redis.call('HGET', schedules, name))

if what == 'put' then
  if rule == ARGV[5] and spec == ARGV[6] then return 0 end
  if rule ~= ARGV[5] and not (fired_to and tonumber(fired_to) > now) then fired_to = number(now) end
  redis.call('SADD', P .. ':qs', queue)
  keep(ARGV[7], fired_to, ARGV[5], ARGV[6])
  return 1
end

if what == 'exchange' then
  if not spec or spec ~= ARGV[5] then return 0 end
  keep(version, fired_to, rule, ARGV[6])
  return 1
end

if what == 'restart' then
  if version ~= ARGV[5] or fired_to ~= ARGV[6] or tonumber(fired_to) <= now + tonumber(ARGV[7]) then
    return 0
  end
  keep(version, number(now), rule, spec)
  return 1
end

local moment = tonumber(ARGV[7])
if version ~= ARGV[5] or fired_to ~= ARGV[6] or moment <= tonumber(fired_to) or moment > now then
  return 0
end
keep(version, ARGV[7], rule, spec)
for i = 12, #ARGV do
  put_job(Q, queue, ARGV[i], ARGV[8], ARGV[9], 0, ARGV[11], ARGV[10], '')
end
redis.call('PUBLISH', Q, '')
return 1

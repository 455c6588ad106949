-- Claims jobs. ARGV: P, queue, how many, lease in ms, what to note of jobs whose lease ended.
-- Answers {ms until more may be due, "" for never; then of each: id, payload, priority, attempt,
-- most attempts, claim, created}.

local MOST_DUE = 100
local Q, count, lease_ms = queue_of(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
write_when_full()
make_ready(Q, math.max(count, MOST_DUE), ARGV[5])
local has_lines = redis.call('EXISTS', Q .. ':m') == 1
local answer = {''}

local function hand_out(member)
  local id = string.match(member, '^%d+:(.*)$')
  local name = Q .. ':j:' .. id
  local job = redis.call('HMGET', name, 'p', 'y', 'm', 't', 'a', 'c')
  local attempt, claim = number(job[5] + 1), number(job[6] + 1)
  redis.call('HSET', name, 's', 2, 'a', attempt, 'c', claim)
  if has_lines then redis.call('HSET', name, 'e', 1) end
  redis.call('ZADD', Q .. ':l', number(now + lease_ms), id)
  for _, value in ipairs({id, job[1], job[2], attempt, job[3], claim, job[4]}) do
    answer[#answer + 1] = value
  end
end

local found, wait
if has_lines then
  found, wait = claim_in_turn(Q, count, hand_out)
else
  local picked = redis.call('ZPOPMIN', Q .. ':r', count)
  for i = 1, #picked, 2 do hand_out(picked[i]) end
  found = #picked / 2
end
if found < count then
  if redis.call('EXISTS', Q .. ':v') == 1 then dependencies_of_jobs().fall_on(Q) end
  answer[1] = wait and number(wait) or ''
  for _, set in ipairs({':w', ':l'}) do
    local due = redis.call('ZRANGE', Q .. set, 0, 0, 'WITHSCORES')[2]
    if due and (answer[1] == '' or due - now < tonumber(answer[1])) then
      answer[1] = number(math.max(0, due - now))
    end
  end
else
  answer[1] = '0'
end
return answer

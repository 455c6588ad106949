-- Reads a page of the jobs in one state. ARGV: P, queue, the letter of the state's sorted set, "up" or
-- "down", score and member of the last job of the page before ("" for none), limit. Answers the same of
-- this page's last job ("" if there are no more), then of each job: id, state, priority, attempts, most
-- attempts, payload, outcome, created, progress, due in ms or "".

local Q, letter, down = queue_of(ARGV[2]), ARGV[3], ARGV[4] == 'down'
local set, limit = Q .. ':' .. letter, tonumber(ARGV[7])
local range = down and 'ZREVRANGE' or 'ZRANGE'

-- Whether the job at this rank comes behind the last one of the page before, which may be gone.
local function is_behind(rank, score, member)
  local found = redis.call(range, set, rank, rank, 'WITHSCORES')
  local its = tonumber(found[2])
  if its ~= score then return (its > score) ~= down end
  return found[1] ~= member and (found[1] > member) ~= down
end

local first = 0
if ARGV[5] ~= '' then
  local score, behind = tonumber(ARGV[5]), redis.call('ZCARD', set)
  while first < behind do
    local middle = math.floor((first + behind) / 2)
    if is_behind(middle, score, ARGV[6]) then behind = middle else first = middle + 1 end
  end
end
local found = redis.call(range, set, first, first + limit - 1, 'WITHSCORES')
local answer = {'', ''}
if #found == 2 * limit then answer = {number(found[#found]), found[#found - 1]} end
for at = 1, #found, 2 do
  -- A place in line has 16 digits.
  local id = letter == 'r' and string.sub(found[at], 18) or found[at]
  local job = redis.call('HMGET', Q .. ':j:' .. id, 's', 'y', 'a', 'm', 'p', 'o', 't', 'g', 'k')
  if job[1] then
    if job[1] == '2' and job[9] then job[1] = '6' end
    answer[#answer + 1] = id
    for i = 1, 8 do answer[#answer + 1] = job[i] end
    answer[#answer + 1] = (letter == 'w' or letter == 'l') and number(found[at + 1]) or ''
  end
end
return answer

-- Reads a page of the jobs in one state. ARGV: P, queue, the letter of the state's sorted set, "up" or
-- "down", score and member of the last job of the page before ("" for none), limit, that job's limit key ("" for
-- none). Answers the same three of this page's last job ("" if there are no more), then of each job: id, state,
-- priority, attempts, most attempts, payload, outcome, created, progress, limit key, due in ms or "".

local Q, letter, down = queue_of(ARGV[2]), ARGV[3], ARGV[4] == 'down'
local limit, from_key = tonumber(ARGV[7]), ARGV[8]
local range = down and 'ZREVRANGE' or 'ZRANGE'
local answer, listed = {'', '', ''}, 0

-- Whether the job at this rank comes behind the last one of the page before, which may be gone.
local function is_behind(set, rank, score, member)
  local found = redis.call(range, set, rank, rank, 'WITHSCORES')
  local its = tonumber(found[2])
  if its ~= score then return (its > score) ~= down end
  return found[1] ~= member and (found[1] > member) ~= down
end

local function first_behind(set, score, member)
  local first, behind = 0, redis.call('ZCARD', set)
  while first < behind do
    local middle = math.floor((first + behind) / 2)
    if is_behind(set, middle, score, member) then behind = middle else first = middle + 1 end
  end
  return first
end

-- Appends the jobs of a set, up to the limit; key: of the line that it is, "" for none.
local function list(set, key, score, member)
  local first = score ~= '' and first_behind(set, tonumber(score), member) or 0
  local found = redis.call(range, set, first, first + limit - listed - 1, 'WITHSCORES')
  listed = listed + #found / 2
  if listed == limit then
    answer[1], answer[2], answer[3] = number(found[#found]), found[#found - 1], key
  end
  for at = 1, #found, 2 do
    local id = letter == 'r' and string.sub(found[at], PLACE_WIDTH + 2) or found[at]
    local job = redis.call('HMGET', Q .. ':j:' .. id, 's', 'y', 'a', 'm', 'p', 'o', 't', 'g', 'n', 'k')
    if job[1] then
      if job[1] == '2' and job[10] then job[1] = '6' end
      job[9] = #job[9] > PLACE_WIDTH and string.sub(job[9], PLACE_WIDTH + 2)
      answer[#answer + 1] = id
      for i = 1, 9 do answer[#answer + 1] = job[i] end
      answer[#answer + 1] = (letter == 'w' or letter == 'l') and number(found[at + 1]) or ''
    end
  end
end

if from_key == '' then list(Q .. ':' .. letter, '', ARGV[5], ARGV[6]) end
if letter ~= 'r' or listed == limit then return answer end
-- The lines of keys, of which each has a job at least.
if from_key ~= '' then list(lines_of_keys().of_line('ql', Q, from_key), from_key, ARGV[5], ARGV[6]) end
local after = from_key == '' and '-' or '(' .. from_key
for _, key in ipairs(redis.call('ZRANGEBYLEX', Q .. ':kl', after, '+', 'LIMIT', 0, limit)) do
  if listed == limit then break end
  list(lines_of_keys().of_line('ql', Q, key), key, '', '')
end
return answer

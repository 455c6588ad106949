-- Reads the live entries of a key range. ARGV: P, partition or "", first and before as
-- ZRANGEBYLEX bounds, limit, most bytes, "1" for values. Answers {after or "", key, value, ...}, or
-- keys alone.

local partition, limit, room, values = ARGV[2], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7] == '1'
local index = partition == '' and P .. ':i' or P .. ':p:' .. partition
local keys = redis.call('ZRANGEBYLEX', index, ARGV[3], ARGV[4], 'LIMIT', 0, limit)
local answer = {#keys == limit and keys[limit] or ''}
for _, key in ipairs(keys) do
  local raw
  if values then
    raw = redis.call('GET', P .. ':e:' .. key)
  elseif partition ~= '' then
    raw = redis.call('GETRANGE', P .. ':e:' .. key, 0, 255)
  else
    raw = redis.call('EXISTS', P .. ':e:' .. key) == 1
  end
  -- The indexes may still name one that expired, under the partition that it had.
  if raw and raw ~= '' and (partition == '' or header(raw).partition == partition) then
    answer[#answer + 1] = key
    if values then
      answer[#answer + 1] = raw
      room = room - #raw
      if room <= 0 then
        answer[1] = key == keys[#keys] and answer[1] or key
        break
      end
    end
  end
end
return answer

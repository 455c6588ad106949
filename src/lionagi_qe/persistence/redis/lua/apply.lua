-- Applies operations in order. ARGV: P, atomic ("1" or ""), how many operations, these, then their
-- fences. Answers a flat list of status and figure; with atomic, the first failure alone, before
-- any change, as {position, status, figure}.

local FIRST, count = 3, tonumber(ARGV[3])
local stale = stale_after(FIRST + count * WIDTH, 0)
local failure = ARGV[2] == '1' and first_failure(FIRST, count, stale)
if failure then return failure end

local only_deletes = true
for i = 1, count do
  only_deletes = only_deletes and ARGV[FIRST + (i - 1) * WIDTH + 1] == 'd'
end
if only_deletes then write_when_full() end
return apply(FIRST, count, stale)

-- Applies operations in order. ARGV: P, atomic ("1" or ""), how many operations, these, then their
-- fences. Answers a flat list of status and figure; with atomic, the first failure alone, before
-- any change, as {position, status, figure}.

local FIRST, count = 3, tonumber(ARGV[3])
local stale = stale_after(FIRST + count * WIDTH, 0)
local failure = ARGV[2] == '1' and first_failure(FIRST, count, stale)
return failure or apply(FIRST, count, stale)

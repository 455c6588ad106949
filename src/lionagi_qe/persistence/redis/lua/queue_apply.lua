-- Applies operations on jobs in order. ARGV: P, how many, these, then their fences. Answers a flat
-- list of status and figure.

local FIRST, count = 2, tonumber(ARGV[2])
return apply_jobs(FIRST, count, stale_after(FIRST + count * QUEUE_WIDTH, 0), {})

-- Applies operations on jobs in order. ARGV: P, how many, these, then their fences. Answers a flat
-- list of status and figure.

local FIRST, count = 2, tonumber(ARGV[2])
local only_endings = true
for i = 1, count do
  only_endings = only_endings and ARGV[FIRST + (i - 1) * QUEUE_WIDTH + 1] ~= 'put'
end
if only_endings then write_when_full() end
return apply_jobs(FIRST, count, stale_after(FIRST + count * QUEUE_WIDTH, 0), {})

-- Applies operations on entries and on jobs, all or none. ARGV: P, how many of entries, how many of
-- jobs, the former, the latter, then the fences of both. Answers a flat list of status and figure,
-- entries first; or {kind, position, status, figure} of the first that fails, before any change.

local FIRST, entries, jobs = 3, tonumber(ARGV[2]), tonumber(ARGV[3])
local second = FIRST + entries * WIDTH
local last = second + jobs * QUEUE_WIDTH
local stale, stale_jobs = stale_after(last, 0), stale_after(last, entries)
local failure = first_failure(FIRST, entries, stale)
if failure then return {'entry', unpack(failure)} end
failure = first_lost(second, jobs, stale_jobs)
if failure then return {'job', unpack(failure)} end
local answers = entries > 0 and apply(FIRST, entries, stale) or {}
return apply_jobs(second, jobs, stale_jobs, answers)

-- A cache of another memory's entries, in one slot. ARGV: P, command, its arguments.
--
--   P:c:<key>  "v generation revision\npayload" or, where the entry was changed, "m time revision"
--   P:g        the generation: values of another one don't count, so a new one empties the cache
--   P:at       a position in the log, up to which all changes were marked
--
-- A mark keeps out values that were read before it: whoever fills tells when it began to read, by
-- this server's clock, and may do so for half of the time that a mark lasts.

local MARK_MS = 10000

local function renew()
  local generation = number(clock[1] * 1000000 + clock[2])
  redis.call('SET', P .. ':g', generation)
  redis.call('DEL', P .. ':at')
  return generation
end

local function generation()
  return redis.call('GET', P .. ':g') or renew()
end

-- Returns kind, first number, revision of what is held under a name.
local function held(name)
  return string.match(redis.call('GETRANGE', name, 0, 63), '^([vm]) (%d+) (%d+)')
end

local commands = {}

-- Begins to read: {time, generation}.
function commands.begin()
  return {number(now), generation()}
end

-- The position kept, or false.
function commands.position()
  return redis.call('GET', P .. ':at')
end

-- Keeps a position for a while, if the generation is still the given one.
function commands.keep()
  if generation() == ARGV[3] then redis.call('SET', P .. ':at', ARGV[4], 'PX', ARGV[5]) end
end

function commands.renew()
  return renew()
end

-- Fills: time at which the reading began, generation, then key, revision, life in ms, payload.
function commands.fill()
  local began, mine = tonumber(ARGV[3]), ARGV[4]
  if now - began > MARK_MS / 2 or generation() ~= mine then return 0 end
  local filled = 0
  for at = 5, #ARGV, 4 do
    local name = P .. ':c:' .. ARGV[at]
    local kind, first, revision = held(name)
    local newer = kind == 'v' and first == mine and tonumber(revision) > tonumber(ARGV[at + 1])
    -- What is said of its life was so when the reading had begun, or later.
    local life = tonumber(ARGV[at + 2]) - math.max(now - began, 0)
    if life >= 1 and not newer and not (kind == 'm' and tonumber(first) >= began) then
      redis.call('SET', name, 'v ' .. mine .. ' ' .. ARGV[at + 1] .. '\n' .. ARGV[at + 3],
        'PX', number(life))
      filled = filled + 1
    end
  end
  return filled
end

-- Marks keys as changed: key, revision; "" marks whatever is there.
function commands.mark()
  for at = 3, #ARGV, 2 do
    local name, wanted = P .. ':c:' .. ARGV[at], ARGV[at + 1]
    local _, _, revision = held(name)
    if wanted == '' or not revision or tonumber(revision) < tonumber(wanted) then
      if wanted == '' then wanted = revision or '0' end
      redis.call('SET', name, 'm ' .. number(now) .. ' ' .. wanted, 'PX', MARK_MS)
    end
  end
end

return commands[ARGV[2]]()

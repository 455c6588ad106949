-- How an index lies in its shard, under I = P:ix:<index>. Numbers of documents are 8 bytes, big-endian,
-- so that they are ordered as texts; terms are 8 bytes.
--   I:m          how far it has come
--   I:d          hash of documents by number: "revision terms key\n", terms, weights (4 bytes each,
--                little-endian), vector
--   I:w          the place of the last document that was written with a code
--   I:p          sorted set of the numbers of documents with codes, by place
--   I:c          hash of their codes by number
--   I:t:<term>   sorted set of the numbers of documents that have it, by weight, negative

local I = P .. ':ix:' .. ARGV[2]

local function postings_of(term)
  return I .. ':t:' .. term
end

-- Calls ``each(term, weight)`` for what a document has.
local function each_posting(document, each)
  local count, at = string.match(document, '^%d+ (%d+) [^\n]*\n()')
  local terms = tonumber(count)
  for n = 0, terms - 1 do
    local term = string.sub(document, at + 8 * n, at + 8 * n + 7)
    each(term, (struct.unpack('<i4', document, at + 8 * terms + 4 * n)))
  end
end

-- Takes a document out of the index; whether it was there.
local function remove(document_number)
  local document = redis.call('HGET', I .. ':d', document_number)
  if not document then return false end
  each_posting(document, function(term)
    redis.call('ZREM', postings_of(term), document_number)
  end)
  redis.call('HDEL', I .. ':d', document_number)
  if redis.call('HDEL', I .. ':c', document_number) == 1 then
    redis.call('ZREM', I .. ':p', document_number)
  end
  return true
end

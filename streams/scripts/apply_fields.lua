-- Write fields of HASHes together with the position that the batch moves to.
--
-- KEYS[1]      position HASH of the partition
-- KEYS[2]      changes STREAM of the partition
-- KEYS[3..]    HASHes whose fields change
-- ARGV[1]      expected  next offset that the caller left here, -1 for none
-- ARGV[2]      kept      entries that the changes stream keeps
-- ARGV[3]      n         number of position fields
-- ARGV[4..]    n pairs of field and value; the number of changes, m; m pairs of what changed and
--              the msgpack list of its ids; then for each HASH: the number of fields to delete,
--              these fields, the number of fields to set, pairs of field and value
-- Reply        the position found: equal to `expected` when everything was written
-- Invariant    all or nothing: a position other than the expected one writes nothing.
--              No command after the check can fail on keys of the right type.
-- Twin         MemoryStore in tests/streams/memory_store.py

local CHUNK = 4000 -- arguments of one command; unpack() is limited to about 8,000

local expected, kept = ARGV[1], ARGV[2]
local found = redis.call('HGET', KEYS[1], 'next') or '-1'
if found ~= expected then
  return tonumber(found)
end

local at = 3

local function take(per_entry)
  local first = at + 1
  at = at + tonumber(ARGV[at]) * per_entry + 1
  return first, at - 1
end

local function call(command, key, first, last)
  for start = first, last, CHUNK do
    redis.call(command, key, unpack(ARGV, start, math.min(start + CHUNK - 1, last)))
  end
end

call('HSET', KEYS[1], take(2))
local first, last = take(2)
if last >= first then
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', kept, '*', unpack(ARGV, first, last))
end
for i = 3, #KEYS do
  call('HDEL', KEYS[i], take(1))
  call('HSET', KEYS[i], take(2))
end
return tonumber(found)

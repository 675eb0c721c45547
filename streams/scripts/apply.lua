-- Write fields of HASHes together with the position that the batch moves to.
--
-- KEYS[1]      position HASH of the partition
-- KEYS[2]      changes STREAM of the partition
-- KEYS[3..]    HASHes whose fields change
-- ARGV[1]      expected  next offset that the caller left here, -1 for none
-- ARGV[2]      kept      entries that the changes stream keeps
-- ARGV[3]      position  msgpack list of fields and values, in turn
-- ARGV[4]      changed   msgpack list of what changed and the msgpack list of its ids, in turn
-- ARGV[5..]    for each HASH two msgpack lists: fields to delete; fields to set and their values,
--              in turn
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

local function call(command, key, packed)
  local arguments = cmsgpack.unpack(packed)
  for start = 1, #arguments, CHUNK do
    redis.call(command, key, unpack(arguments, start, math.min(start + CHUNK - 1, #arguments)))
  end
end

local changed = cmsgpack.unpack(ARGV[4])
call('HSET', KEYS[1], ARGV[3])
if #changed > 0 then
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', kept, '*', unpack(changed))
end
for i = 3, #KEYS do
  call('HDEL', KEYS[i], ARGV[2 * i - 1])
  call('HSET', KEYS[i], ARGV[2 * i])
end
return tonumber(found)

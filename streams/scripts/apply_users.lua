-- Write the users of one batch together with the position that the batch moves to.
--
-- KEYS[1]      position HASH of the partition
-- KEYS[2]      changes STREAM of the partition
-- KEYS[3..]    one user STRING per changed user
-- ARGV[1]      expected  next offset that the caller left here, -1 for none
-- ARGV[2]      ttl       lifetime of a user record, s
-- ARGV[3]      kept      entries that the changes stream keeps
-- ARGV[4]      changes   msgpack list of the changed user ids
-- ARGV[5]      n         number of position fields
-- ARGV[6..]    n pairs of field and value, then one packed record per user key
-- Reply        the position found: equal to `expected` when everything was written
-- Invariant    all or nothing: a position other than the expected one writes nothing.
--              No command after the check can fail on keys of the right type.
-- Twin         MemoryStore in tests/streams/memory_store.py

local expected, ttl, kept, changes = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local fields = tonumber(ARGV[5]) * 2

local found = redis.call('HGET', KEYS[1], 'next') or '-1'
if found ~= expected then
  return tonumber(found)
end

for i = 3, #KEYS do
  redis.call('SETEX', KEYS[i], ttl, ARGV[5 + fields + i - 2])
end
redis.call('HSET', KEYS[1], unpack(ARGV, 6, 5 + fields))
if #KEYS > 2 then
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', kept, '*', 'users', changes)
end
return tonumber(found)

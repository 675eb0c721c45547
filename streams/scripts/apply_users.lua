-- Write the users of one batch together with the position that the batch moves to.
--
-- KEYS[1]      position HASH of the partition
-- KEYS[2]      changes STREAM of the partition
-- KEYS[3]      what the key of every user STRING of the partition begins with; the user's id ends
--              it. All these keys share the hash tag of KEYS[3], and so its slot
-- ARGV[1]      expected  next offset that the caller left here, -1 for none
-- ARGV[2]      ttl       lifetime of a user record, s
-- ARGV[3]      kept      entries that the changes stream keeps
-- ARGV[4]      ids       msgpack list of the changed user ids
-- ARGV[5]      position  msgpack list of fields and values, in turn
-- ARGV[6]      users     msgpack list of packed records, one per id
-- Reply        the position found: equal to `expected` when everything was written
-- Invariant    all or nothing: a position other than the expected one writes nothing.
--              No command after the check can fail on keys of the right type.
-- Twin         MemoryStore in tests/streams/memory_store.py

local expected, ttl, kept, prefix = ARGV[1], ARGV[2], ARGV[3], KEYS[3]

local found = redis.call('HGET', KEYS[1], 'next') or '-1'
if found ~= expected then
  return tonumber(found)
end

local ids, users = cmsgpack.unpack(ARGV[4]), cmsgpack.unpack(ARGV[6])
for i, user in ipairs(users) do
  redis.call('SETEX', prefix .. ids[i], ttl, user)
end
redis.call('HSET', KEYS[1], unpack(cmsgpack.unpack(ARGV[5])))
if #users > 0 then
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', kept, '*', 'users', ARGV[4])
end
return tonumber(found)

-- Write fields of HASHes together with the position that the batch moves to.
--
-- KEYS[1]      position HASH of the partition
-- KEYS[2]      changes STREAM of the partition
-- KEYS[3..]    HASHes whose fields change
-- ARGV[1]      expected  next offset that the caller left here, -1 for none
-- ARGV[2]      kept      entries that the changes stream keeps
-- ARGV[3]      kept_ms   how long it keeps each, ms of Redis' clock: it names people
-- ARGV[4]      position  msgpack list of fields and values, in turn
-- ARGV[5]      told      how many of the arguments that follow go to the changes stream:
--              what changed and the msgpack list of its ids, in turn
-- ARGV[..]     then for each HASH: msgpack list of the fields to delete, msgpack list of the fields
--              to set, msgpack list of the lengths of their values in bytes, the values in a row
-- Reply        the position found: equal to `expected` when everything was written
-- Invariant    all or nothing: a position other than the expected one writes nothing.
--              No command after the check can fail on keys of the right type.
-- Twin         MemoryStore in streams/memory_store.py

local CHUNK = 4000 -- arguments of one command; unpack() is limited to about 8,000

local expected, kept, kept_ms, told = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[5])
local found = redis.call('HGET', KEYS[1], 'next') or '-1'
if found ~= expected then
  return tonumber(found)
end

local function call(command, key, arguments)
  for start = 1, #arguments, CHUNK do
    redis.call(command, key, unpack(arguments, start, math.min(start + CHUNK - 1, #arguments)))
  end
end

local function in_turn(names, lengths, values)
  local arguments, sub, from = {}, string.sub, 1
  for i, name in ipairs(names) do
    local next_from = from + lengths[i]
    arguments[2 * i - 1], arguments[2 * i] = name, sub(values, from, next_from - 1)
    from = next_from
  end
  return arguments
end

redis.call('HSET', KEYS[1], unpack(cmsgpack.unpack(ARGV[4])))
if told > 0 then
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', kept, '*', unpack(ARGV, 6, 5 + told))
end
local oldest_ms = redis.call('TIME')[1] * 1000 - kept_ms
redis.call('XTRIM', KEYS[2], 'MINID', '=', string.format('%.0f', math.max(oldest_ms, 0)))
local at = 6 + told
for i = 3, #KEYS do
  call('HDEL', KEYS[i], cmsgpack.unpack(ARGV[at]))
  local names, lengths = cmsgpack.unpack(ARGV[at + 1]), cmsgpack.unpack(ARGV[at + 2])
  call('HSET', KEYS[i], in_turn(names, lengths, ARGV[at + 3]))
  at = at + 4
end
return tonumber(found)

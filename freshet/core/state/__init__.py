"""The state in Redis: keys, record layouts, reading back, hashing."""

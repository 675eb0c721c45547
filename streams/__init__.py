"""The writer: folds events into the state in Redis, exactly once.

The folds (`user_fold`, `item_fold`) are pure functions on arrays; around them stand thin shells
that read from Kafka through Faust and write to Redis through one atomic script per batch.
"""

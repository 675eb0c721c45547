"""The writer: folds events into the state in Redis, exactly once.

The folds (`user_fold`, `item_fold`) are functions on arrays, which change the records that they are
given and nothing else; around them stand shells that read from Kafka through Faust and write to
Redis through one atomic script per batch.
"""

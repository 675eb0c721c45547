"""Events: their schema, codec, topics, partition function and producer."""

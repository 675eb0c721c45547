"""The reader: one funnel from a request to an answer, over state held in process.

Law: a list costs one read of Redis; one that waits for an event reads until it is there, and a feed
reads before each list whether there is to be another. Item state is loaded whole and follows the
change streams; nothing here writes state, and nothing here is imported by `streams`.
"""

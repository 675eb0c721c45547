"""The reader: one funnel from a request to an answer, over state held in process.

Law: a request costs one read of Redis. Item state is loaded whole and follows the change streams;
nothing here writes state, and nothing here is imported by `streams`.
"""

"""The candidate sources: one function each, from arrays to rows of the table, best first.

Law: a source knows nothing of the others, never filters for the user, and may fail alone.
"""

"""What all processes must agree on: events, state layout, settings, errors, clock, metrics.

Everything here is imported by writer, reader, trainer and replay alike, and imports none of them.
"""

"""Benchmarks: each prints its figures, and the last line is one JSON object.

Run them from the root of the repository, for example `python -m benchmarks.ingest`. They start
the services that they need on loopback, and stop them.
"""

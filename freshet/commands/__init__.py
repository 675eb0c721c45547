"""The command line: one verb per module, each the composition root of a process.

A verb reads settings and arguments, builds what it needs from the layers below, and runs it; it
decides nothing that a test would want to call.
"""

"""The command line: a module for each verb, the composition root of its process, and their parts.

A verb reads settings and arguments, builds what it needs from the layers below, and runs it. What
it decides is a function beside it that a test can call.
"""

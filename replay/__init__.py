"""The judge: drives the left edge from a recorded log and looks at the right edge.

It knows the log, its clock and the addresses of the services; it never reaches into a fold or into
the funnel.
"""

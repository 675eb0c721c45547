"""The judge: replays logs, recorded or generated, and measures what comes out.

What drives the left edge of a running installation (`play`, `pacing`, `targets`) knows the log, its
clock and the addresses of the services, and reaches into no fold and no funnel. What evaluates
(`lived`, `evaluate`) runs the folds and the funnel of the product in its own process: the product's
code, not a copy of it.
"""

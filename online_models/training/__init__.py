"""From a recorded log to a bundle; the only package that imports torch."""

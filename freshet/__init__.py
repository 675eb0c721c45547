"""Freshet: a real-time streaming recommender.

The package holds the floor (`freshet.core`: what all processes must agree on), the embedded
backends (`freshet.embedded`) and the door (`freshet.commands`: one composition root per process).
Importing it does nothing.
"""

__version__ = "0.1.0"

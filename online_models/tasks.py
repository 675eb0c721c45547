"""What the ranker foresees of a candidate: one definition for labels, graphs and scores.

Law: a task is a column, in the order of `TASKS`, wherever there is one for each. All but the click
count on what was clicked alone, and are foreseen given a click: P(task) = P(click) P(task | click)
(Ma et al. 2018, "Entire space multi-task model", equation 2).
"""

from __future__ import annotations

from typing import Final

from freshet.core.events.schema import CLICK, PREFERENCE

TASKS: Final = ("click", "dwell", "conversion")
"""It was acted on; it was stayed with for `DWELL_S`; one of `CONVERSION` was done with it."""

DWELL_S: Final = 30.0
"""From this time on a stay tells satisfaction (Fox et al. 2005, "Evaluating implicit measures")."""

CONVERSION: Final = PREFERENCE[CLICK] < PREFERENCE
"""(n_types,) bool: what says more than a click, as the schema weighs it: like, cart, purchase,
share, follow.

A rating weighs as a click does, whatever its stars: scales differ from log to log.
"""

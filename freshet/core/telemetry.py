"""The telemetry of libraries, switched off: nothing phones home.

Law: `online_models.artifacts.sessions` calls `switch_off` before it imports ONNX Runtime, whose
wheel writes a device id and a queue below `~/.cache` when it is imported, and looks up its maker's
host to send them; the command line calls it first of all, for its children.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Final

TELEMETRY_OFF: Final = {"ORT_DISABLE_TELEMETRY": "1"}
"""What a process must have in its environment before it loads a library."""


def switch_off(environ: MutableMapping[str, str]) -> None:
    """Set the variables, also where they say otherwise.

    Args:
        environ: of this process.

    >>> variables = {"ORT_DISABLE_TELEMETRY": "0"}
    >>> switch_off(variables)
    >>> variables
    {'ORT_DISABLE_TELEMETRY': '1'}
    """
    environ.update(TELEMETRY_OFF)

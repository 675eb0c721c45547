"""CPU seconds of processes: what tells a busy machine from a slow design."""

from __future__ import annotations

import time
from collections.abc import Mapping

import psutil


class CpuMeter:
    """Counts the CPU seconds of processes and of what they started, from its making on.

    Args:
        pids: process ids by name.
    """

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._since_s = time.monotonic()
        self._before = {name: _cpu_s(each) for name, each in self._processes.items()}

    def seconds(self) -> dict[str, float]:
        """Return the CPU seconds of each since then; 0 for one that has ended."""
        return {
            name: max(_cpu_s(each) - self._before[name], 0.0)
            for name, each in self._processes.items()
        }

    def cores(self) -> dict[str, float]:
        """Return the cores that each kept busy since then."""
        span_s = time.monotonic() - self._since_s
        return {name: round(used / span_s, 3) for name, used in self.seconds().items()}


def _cpu_s(process: psutil.Process) -> float:
    try:
        family = [process, *process.children(recursive=True)]
        times = [member.cpu_times() for member in family]
    except psutil.Error:
        return 0.0
    return float(sum(each.user + each.system for each in times))

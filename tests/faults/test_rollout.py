"""Two versions of the worker at once, as when a new one is rolled out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from freshet.core.settings import Settings
from freshet.embedded.child import Child

from .altered_worker import start_next_version
from .conftest import Measured
from .plugs import START_S
from .stream import Stream, WaitUntil

pytestmark = [pytest.mark.services, pytest.mark.kafka, pytest.mark.timeout(180)]

CHUNK = 2_000

Start = Callable[[Settings], Child]


@pytest.mark.fault(66, promise="nothing lost, nothing counted twice")
def test_an_old_and_a_new_worker_share_the_partitions_and_the_old_one_goes(
    kafka_stream: Stream,
    worker: Start,
    wait_until: WaitUntil,
    tmp_path: Path,
    measured: Measured,
) -> None:
    """The new one has other scripts and other batches; partitions go over in both directions."""
    stream = kafka_stream
    old = worker(stream.settings)
    stream.send(CHUNK)
    stream.under_way(0)
    settings = msgspec.structs.replace(stream.settings, batch_events=173)
    new = start_next_version(settings, log=tmp_path / "new.log")
    try:
        stream.send(CHUNK)
        wait_until(lambda: "start from" in new.log.read_text(), START_S, "the new one has joined")
        stream.send(CHUNK)
        stream.catch_up()
        old.stop()
        stream.send(CHUNK)
        recovery_s = stream.catch_up()
    finally:
        new.stop()
    stream.check()
    measured(recovery_s=recovery_s, counted=stream.applied(), sent=stream.sent)

"""`freshet worker`: the composition root of the stream processors."""

from __future__ import annotations

import sys
import tempfile
import uuid

import click

from freshet.core.logging import configure_logging
from freshet.core.settings import load_settings


@click.command("worker")
@click.option("--alone", is_flag=True, help="Run without a supervisor: end when the worker ends.")
@click.option("--instance-id", help="Name in the consumer group, for a quick return after a crash.")
@click.option("--exits", type=int, hidden=True, help="Descriptor of the supervisor's counts.")
def command(alone: bool, instance_id: str | None, exits: int | None) -> None:
    """Fold events from Kafka into the state in Redis.

    Reads the topics `<namespace>.events`, `.item-deltas`, `.catalog` and `.slates`. State and
    position are written together, so a worker may be killed at any time: the next one reads on
    from the position in Redis, and nothing is lost or counted twice. A supervisor starts the
    worker again whenever it ends. Start as many as you like; each takes its share of the
    partitions.

    \b
    Example:
        FRESHET_KAFKA_BOOTSTRAP=kafka:9092 FRESHET_REDIS_URL=redis://redis:6379 freshet worker
    """
    settings = load_settings()
    configure_logging("worker" if alone else "supervisor", settings.log_level)
    from streams.exits import ExitCounts

    if alone:
        from streams.worker import run_worker

        run_worker(settings, instance_id, ExitCounts(exits))
        return
    from streams.supervisor import supervise

    again = [sys.executable, "-m", "freshet.commands.main", "worker", "--alone"]
    again += ["--instance-id", instance_id or f"worker-{uuid.uuid4().hex[:12]}"]
    with tempfile.TemporaryFile() as file:
        kept = file.fileno()
        code = supervise(
            [*again, "--exits", str(kept)],
            shutdown_s=settings.shutdown_s,
            counts=ExitCounts(kept),
            inherited=[kept],
        )
    sys.exit(code)

"""What an installation costs that nobody uses: processor time of each process, without traffic.

A bundle is in use, topics have the partitions of a setting left alone, and the worker sends its
heartbeats. Warm-up is over before the clock starts.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from benchmarks.cpu import CpuMeter
from benchmarks.installation import installation
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items


@click.command()
@click.option("--seconds", default=60, help="How long to watch.")
@click.option("--warm-up-s", default=15, help="Left out before.")
def main(seconds: int, warm_up_s: int) -> None:
    """Measure worker and server on Apache Kafka while nothing happens; the last line is JSON."""
    with installation() as place:
        publish_tiny_bundle(Path(place.settings.models_dir), tiny_items(1_000))
        pids = {"worker": place.start_worker().pid, "server": place.start_server().child.pid}
        time.sleep(warm_up_s)
        meter = CpuMeter(pids)
        time.sleep(seconds)
        cores = {f"{name}_cores": used for name, used in meter.cores().items()}
    click.echo(f"over {seconds} s without traffic")
    click.echo(json.dumps({"seconds": seconds, **cores}))


if __name__ == "__main__":
    main()

"""`freshet train`: from a recorded log to a published model bundle."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from freshet.core.clock import system_clock
from freshet.core.errors import FreshetError
from freshet.core.settings import load_settings

if TYPE_CHECKING:
    from online_models.artifacts.manifest import Manifest

_STAGES = {
    "read": "reading the log",
    "encoder": "item tower and encoder",
    "exposures": "living the log again",
    "ranker": "ranker",
    "refit": "encoder, newest events",
    "export": "export and check",
}


class TorchMissingError(FreshetError):
    """Training was asked for where torch is not installed."""

    def __init__(self) -> None:
        super().__init__("training needs torch: `pip install freshet[train]`; nothing else does")


@click.command("train")
@click.argument("log", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--items",
    "items_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The catalogue. X.items.jsonl[.gz] beside X.events.jsonl[.gz] is found without asking.",
)
@click.option("--models-dir", type=click.Path(file_okay=False), help="Where bundles are published.")
@click.option("--epochs", type=click.IntRange(min=1), help="Most passes of the encoder.")
@click.option(
    "--budget-s",
    type=click.FloatRange(min=1),
    help="About how long to train, in seconds, with export and check.",
)
@click.option("--quick", is_flag=True, help="Enough for a first feed: well under a minute.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object: the manifest.")
def command(
    log: Path,
    *,
    items_file: Path | None,
    models_dir: str | None,
    epochs: int | None,
    budget_s: float | None,
    quick: bool,
    as_json: bool,
) -> None:
    """Train item tower, sequence encoder and ranker on LOG and put the bundle in use.

    LOG is a file of JSON lines, plain or gzip: event_id, type, user_id, item_id, ts_ms (ms). It is
    cut by time: its last part is foreseen, not learned, before the models see the whole log. The
    figures stand beside those of simple counters, also where the counters win.

    Running servers take the new bundle within seconds; `freshet models rollback` takes it back.

    \b
    Examples:
        freshet train my.events.jsonl.gz
        freshet train my.events.jsonl.gz --quick --models-dir /srv/models
        freshet train my.events.jsonl.gz --epochs 20 --budget-s 600
    """
    if importlib.util.find_spec("torch") is None:
        raise TorchMissingError
    # Threads that spin while they wait for each other are ten times slower beside a busy server.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    settings = load_settings(models_dir=models_dir)
    from rich.console import Console
    from rich.progress import Progress

    from freshet.commands.models import figures_table
    from freshet.core.events.recorded import items_file_of, read_events, read_items
    from online_models.artifacts.registry import Registry
    from online_models.training.train import TrainOptions, train

    options = TrainOptions.quick() if quick else TrainOptions()
    options = dataclasses.replace(
        options,
        epochs=epochs or options.epochs,
        max_seconds=budget_s or options.max_seconds,
    )
    console = Console(stderr=True)
    registry = Registry(settings.models_dir)
    with Progress(console=console, transient=True) as progress:
        bars = {stage: progress.add_task(words, total=1.0) for stage, words in _STAGES.items()}
        events = list(read_events(log))
        items_file = items_file or items_file_of(log)
        items = read_items(items_file) if items_file else []
        progress.update(bars["read"], completed=1.0)
        version = train(
            events,
            items,
            registry,
            settings=settings,
            options=options,
            created_ts_ms=system_clock(),
            report=lambda stage, share: progress.update(bars[stage], completed=share),
        )
    manifest = registry.manifest(version)
    console.print(figures_table(manifest))
    _print_result(manifest, registry.path(version), as_json)


def _print_result(manifest: Manifest, folder: Path, as_json: bool) -> None:
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(manifest))
        return
    for remark in manifest.metrics.get("remarks", []):
        click.echo(f"- {remark}")
    click.echo(f"bundle {manifest.version} of {manifest.item_count:,} items is in use ({folder})")

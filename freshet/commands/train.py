"""`freshet train`: from a log, the installation's own or a file, or from the stream, to bundles."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from freshet.commands.duration import Duration
from freshet.commands.follow import Cadence, CadenceType, follow
from freshet.commands.retrain import retrain
from freshet.commands.stopping import interrupted_by_sigterm
from freshet.core.clock import system_clock
from freshet.core.distribution import install_advice
from freshet.core.errors import FreshetError
from freshet.core.settings import Settings, load_settings

if TYPE_CHECKING:
    from freshet.core.events.schema import Event, Item
    from online_models.artifacts.manifest import Manifest
    from online_models.training.train import TrainOptions

NICE = 10
_STAGES = {
    "read": "reading the log",
    "encoder": "item tower and encoder",
    "exposures": "living the log again",
    "ranker": "ranker",
    "challenger": "trees against it",
    "refit": "encoder, newest events",
    "export": "export and check",
}


class TorchMissingError(FreshetError):
    """Training was asked for where torch is not installed."""

    def __init__(self) -> None:
        super().__init__(f"training needs torch, nothing else does; {install_advice('train')}")


@click.command("train")
@click.argument("log", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--items",
    "items_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The catalogue. X.items.jsonl[.gz] beside X.events.jsonl[.gz] is found without asking.",
)
@click.option("--sort", is_flag=True, help="Sort a LOG whose rows are out of the order of time.")
@click.option("--models-dir", type=click.Path(file_okay=False), help="Where bundles are published.")
@click.option("--epochs", type=click.IntRange(min=1), help="Most passes of the encoder.")
@click.option(
    "--budget-s",
    type=click.FloatRange(min=1),
    help="How much to train: seconds on two idle processors, with export and check.",
)
@click.option("--quick", is_flag=True, help="Enough for a first feed: well under a minute.")
@click.option(
    "--every",
    "every_s",
    type=Duration(),
    help="Train now, and again at this distance until stopped: 24h for example.",
)
@click.option(
    "--follow", "following", is_flag=True, help="Learn from the stream instead, without end."
)
@click.option(
    "--publish-every",
    type=CadenceType(),
    default="5m",
    show_default=True,
    help="With --follow: how often to judge the ranker and publish it; 2000 is examples.",
)
@click.option(
    "--stop-after",
    type=click.IntRange(min=1),
    metavar="EXAMPLES",
    help="With --follow: end when so many were learned.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="End with one JSON object, the manifest; with --every one for each training, with "
    "--follow one for each decision.",
)
def command(
    log: Path | None,
    *,
    items_file: Path | None,
    sort: bool,
    models_dir: str | None,
    epochs: int | None,
    budget_s: float | None,
    quick: bool,
    every_s: float | None,
    following: bool,
    publish_every: Cadence,
    stop_after: int | None,
    as_json: bool,
) -> None:
    """Train item tower, sequence encoder and ranker and put the bundle in use.

    LOG is a file of JSON lines, plain or gzip: event_id, type, user_id, item_id, ts_ms (ms).
    Without it the installation's own log is learned from: the events that Kafka keeps, up to now,
    and the catalogue. Records that cannot be read are counted, and an erased person is left out.

    The log is cut by time: its last part is foreseen, not learned, before the models see all of it.
    The figures stand beside those of simple counters, also where the counters win.

    Running servers take the new bundle within seconds; `freshet models rollback` takes it back.

    With --every it does so again and again. A training that fails is told and counted; the bundle
    in use stays, and the next training has its time. Stop it at any moment.

    With --follow the ranker of the bundle in use learns on from what people do with the answers,
    as the worker joins them. Every few minutes it is judged by how well it foresaw the newest
    answers, and published when it is as good as the one in use; otherwise that one stays, and
    learning goes on. It keeps its place in a checkpoint beside the bundles: kill it at any moment.

    \b
    Examples:
        freshet train
        freshet train my.events.jsonl.gz
        freshet train my.events.jsonl.gz --quick --models-dir /srv/models
        freshet train my.events.jsonl.gz --epochs 20 --budget-s 600
        freshet train --every 24h
        freshet train --follow
        freshet train --follow --publish-every 2000 --json
    """
    if following and (log is not None or every_s is not None):
        raise click.UsageError("--follow learns from the stream: neither LOG nor --every beside it")
    if items_file is not None and log is None:
        raise click.UsageError("--items belongs to a LOG; without one the catalogue is in Kafka")
    if sort and log is None:
        raise click.UsageError("--sort belongs to a LOG; what Kafka keeps is sorted by itself")
    if every_s is not None and every_s < 1:
        raise click.UsageError("--every is at least 1s")
    if importlib.util.find_spec("torch") is None:
        raise TorchMissingError
    # Threads that spin while they wait for each other are ten times slower beside a busy server.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    settings = load_settings(models_dir=models_dir)
    if following:
        os.nice(NICE)  # an answer goes before a mini-batch
        follow(settings, publish_every=publish_every, stop_after=stop_after, as_json=as_json)
        return
    if every_s is not None:
        os.nice(NICE)
        arguments = _arguments(
            log, items_file, sort=sort, epochs=epochs, budget_s=budget_s, quick=quick
        )
        retrain(settings, arguments, every_s=every_s, as_json=as_json)
        return
    from online_models.training.train import TrainOptions

    options = TrainOptions.quick() if quick else TrainOptions()
    options = dataclasses.replace(
        options,
        epochs=epochs or options.epochs,
        max_seconds=budget_s or options.max_seconds,
    )
    with interrupted_by_sigterm():
        _train(settings, log, items_file, options, sort=sort, as_json=as_json)


def _arguments(
    log: Path | None,
    items_file: Path | None,
    *,
    sort: bool,
    epochs: int | None,
    budget_s: float | None,
    quick: bool,
) -> list[str]:
    """Return the arguments of one training among many."""
    named = {"--items": items_file, "--epochs": epochs, "--budget-s": budget_s}
    options = [text for name, value in named.items() if value for text in (name, str(value))]
    flags = [name for name, given in (("--sort", sort), ("--quick", quick)) if given]
    return [*([str(log)] if log else []), *options, *flags]


def _train(
    settings: Settings,
    log: Path | None,
    items_file: Path | None,
    options: TrainOptions,
    *,
    sort: bool,
    as_json: bool,
) -> None:
    """Train once, show how far it is, and say what it came to."""
    from rich.console import Console
    from rich.progress import Progress

    from freshet.commands.models import figures_table
    from online_models.artifacts.registry import Registry
    from online_models.training.train import train
    from replay.exposing import ExposingLife

    console = Console(stderr=True)
    registry = Registry.of(settings)
    with Progress(console=console, transient=True) as progress:
        bars = {stage: progress.add_task(words, total=1.0) for stage, words in _STAGES.items()}

        def report(stage: str, share: float) -> None:
            progress.update(bars[stage], completed=share)

        read: dict[str, object] | None = None
        if log is None:
            events, items = _own_log(settings, partial(report, "read"), console.print)
        else:
            events, items, read = _recorded(
                log, items_file, sort, partial(console.print, markup=False)
            )
        report("read", 1.0)
        version = train(
            events,
            items,
            registry,
            live=partial(ExposingLife, settings=settings),
            options=options,
            created_ts_ms=system_clock(),
            low_rating=settings.low_rating,
            report=report,
        )
    manifest = registry.manifest(version)
    console.print(figures_table(manifest))
    _print_result(manifest, registry.path(version), read, as_json)


def _recorded(
    log: Path, items_file: Path | None, sort: bool, say: Callable[[str], None]
) -> tuple[Sequence[Event], Sequence[Item], dict[str, object]]:
    """Return the events of a file, the catalogue named or beside it, and the file's judgement."""
    from freshet.core.events.recorded import Part, open_log

    found = open_log(log, items_file, part=Part(sort=sort), keep=True)
    for sentence in found.sentences():
        say(sentence)
    return list(found.events()), found.items() or [], found.summary()


def _own_log(
    settings: Settings, report: Callable[[float], None], say: Callable[[str], None]
) -> tuple[Sequence[Event], Sequence[Item]]:
    """Return what Kafka keeps of the installation."""
    from freshet.core.events.kept_log import read_kept_log

    kept = read_kept_log(settings, report)
    say(kept.describe())
    return kept.events, kept.items


def _print_result(
    manifest: Manifest, folder: Path, read: dict[str, object] | None, as_json: bool
) -> None:
    if as_json:
        import msgspec

        fields = msgspec.to_builtins(manifest) | ({"read": read} if read else {})
        click.echo(msgspec.json.encode(fields))
        return
    from online_models.artifacts.figures import remarks

    for remark in remarks(manifest.metrics):
        click.echo(f"- {remark}")
    click.echo(f"bundle {manifest.version} of {manifest.item_count:,} items is in use ({folder})")

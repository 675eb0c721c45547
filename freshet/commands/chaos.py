"""`freshet chaos`: pull every plug while events flow, then audit every count."""

from __future__ import annotations

import logging
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from freshet.core.errors import FreshetError
from freshet.core.settings import load_settings


@click.command("chaos")
@click.option("--seed", default=1, show_default=True, help="Of the strikes and of the events.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=15),
    default=120.0,
    show_default=True,
    help="How long events are sent; a little longer when the strikes take longer.",
)
@click.option(
    "--broker",
    type=click.Choice(["kafka", "embedded"]),
    default="kafka",
    show_default=True,
    help="Apache Kafka (needs Java), or the small one, which can be frozen but not restarted.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 4),
    help="Workers, each with a supervisor; 2 on Kafka. The embedded broker now and then leaves one "
    "of two that join at once without an answer, so it gets 1.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=10, max=5000),
    default=500.0,
    show_default=True,
    metavar="EV/S",
    help="Records sent in a second.",
)
@click.option(
    "--without",
    type=click.Choice(
        ["position", "event-ids", "source-offsets", "dead-letters", "outbox", "transitions"]
    ),
    help="Take a protection away. The audit must fail then; a test that cannot fail proves "
    "nothing.",
)
@click.option("--json", "json_alone", is_flag=True, help="Print the last line alone.")
def command(
    *,
    seed: int,
    seconds: float,
    broker: str,
    workers: int | None,
    rate: float,
    without: str | None,
    json_alone: bool,
) -> None:
    """Kill, stop, freeze, rewind and flush everything while events flow, and audit all state.

    Broker, Redis, workers and server are its own and lie in a temporary folder. It sends events of
    known truth, copies, poison, erasures and changes of the catalogue among them, while a plan that
    the seed fixes strikes every 4 to 8 s. At the end, and before Redis is emptied or set back, it
    lets the workers finish and compares what they made of the logs: with the simple truth of each
    user, item and transition, and field by field with the same logs folded again in this process.
    Examples, feeds and lists are looked at too. The first audit that finds something ends the run.

    The last line on standard output is JSON; the exit code is 1 when something is wrong, or when a
    strike was felt for more than 15 s (60 s on the embedded broker).

    \b
    Examples:
      freshet chaos --seed 1 --seconds 120
      freshet chaos --broker embedded --seconds 60
      freshet chaos --without position          # must fail
    """
    from rich.console import Console

    from replay.chaos.plan import EMBEDDED, plan_strikes
    from replay.chaos.report import ChaosBar, audit_table, fault_table
    from replay.chaos.run import ChaosOptions, run_chaos

    if broker == EMBEDDED and (workers or 1) > 1:
        raise click.UsageError(f"--workers {workers} needs --broker kafka")
    workers = workers or (1 if broker == EMBEDDED else 2)
    console = None if json_alone else Console(stderr=True)
    options = ChaosOptions(seed, seconds, broker, workers, rate, without or "")
    strikes = plan_strikes(seed, seconds, broker=broker, workers=workers)
    folder = Path(tempfile.mkdtemp(prefix="freshet-chaos-"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # its children end with it
    try:
        with _unheard("freshet.core.events.producer"), ChaosBar(seconds, console) as bar:
            result = run_chaos(options, strikes, load_settings(), folder / "run", bar)
    except FreshetError as error:
        raise FreshetError(f"{error}\ndata and logs are in {folder}") from error
    except KeyboardInterrupt:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if console is not None:
        console.print(fault_table(result))
        console.print(audit_table(result))
    click.echo(msgspec.json.encode(result.figures()).decode())
    if not result.ok:
        if console is not None:
            console.print(f"data and logs are in {folder}")
        raise SystemExit(1)
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _unheard(name: str) -> Iterator[None]:
    """Let a logger say nothing for as long as the context lasts: that a broker is away is meant."""
    logger = logging.getLogger(name)
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before

"""`freshet demo`: everything at once on this machine, for a person or as a check."""

from __future__ import annotations

import os
import shutil
import sys
import time
import webbrowser
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
import numpy as np

from freshet.commands.running import require_none
from freshet.core.clock import system_clock
from freshet.core.errors import FreshetError
from freshet.core.settings import Settings, load_settings

if TYPE_CHECKING:
    from replay.world import Plan

FOLDER = Path(".freshet/demo")
LOGS = Path(".freshet/logs")
VISIT_EVERY_S = 0.4
LOG_ENDS_BEFORE_MS = 60_000  # so that no event of the log is newer than what happens live


@click.command("demo")
@click.option("--check", is_flag=True, help="No person, no browser: measure, audit, and end.")
@click.option("--no-browser", is_flag=True, help="Print the address of the feed page only.")
@click.option("--port", type=click.IntRange(0, 65535), help="Of the server; 0 takes a free one.")
@click.option("--users", default=1000, show_default=True, help="People in the generated log.")
@click.option("--items", default=600, show_default=True, help="Items in the generated log.")
@click.option("--seed", default=1, show_default=True, help="Of the generated log.")
def command(
    *, check: bool, no_browser: bool, port: int | None, users: int, items: int, seed: int
) -> None:
    """Start everything, replay a generated log through it, train, and open the feed page.

    Needs neither Kafka nor Redis nor Java: what FRESHET_KAFKA_BOOTSTRAP and FRESHET_REDIS_URL do
    not name is started here and ends with the demo. A simulated audience keeps clicking, so that
    the trending list moves; your own clicks reorder your list at once. Ctrl-C ends all.

    With --check nobody is needed: it ends within two minutes, its last line on standard output is
    JSON (events lost and doubled, click-to-feed time, quality on clicks it had not seen), and its
    exit code is 1 when a promise is broken.

    \b
    Examples:
      freshet demo
      freshet demo --check | tail -1 | jq .
    """
    from replay.world import Plan

    plan = Plan(users=users, items=items, seed=seed, end_ts_ms=system_clock() - LOG_ENDS_BEFORE_MS)
    require_none()
    shutil.rmtree(FOLDER, ignore_errors=True)  # of the demo before
    settings = load_settings(
        namespace=f"demo-{system_clock()}",  # on a real cluster, each demo is its own
        models_dir=str(FOLDER.absolute() / "models"),
        http_port=0 if check and port is None else port,
    )
    if check:
        from freshet.commands.demo_check import check_demo

        figures = check_demo(settings, plan, FOLDER, say=_say)
        click.echo(msgspec.json.encode(figures).decode())
        broken = [name for name, kept in figures["checks"].items() if not kept]
        if broken:
            raise FreshetError(f"broken promises: {', '.join(broken)}; logs are in .freshet/logs")
        return
    _run(settings, plan, browser=not no_browser)


def _run(settings: Settings, plan: Plan, *, browser: bool) -> None:
    """Run the demo for a person."""
    from freshet.commands.demo_parts import Training, play_log
    from freshet.commands.processes import require_running, run_installation
    from freshet.core.events.recorded import read_events, read_items
    from replay.audience import Audience
    from replay.feed_client import FeedClient
    from replay.generated_log import write_log
    from replay.generator import generate

    files = write_log(plan, FOLDER / "films")
    _say(f"generated {files.n_events:,} events of {plan.users:,} people and {plan.items:,} items")
    with suppress(KeyboardInterrupt), run_installation(settings, logs=LOGS, say=_say) as running:
        played = play_log(
            running.settings,
            read_events(files.events),
            read_items(files.items),
            total=files.n_events,
        )
        _say(f"{played.events:,} events are in the state, {played.events_per_s:,.0f} a second")
        _say(f"feed page   {running.url}/        (Ctrl-C ends all)")
        if browser and has_display(os.environ):
            webbrowser.open(f"{running.url}/")
        _say("training a model beside it; until then lists are in source order")
        log = LOGS / "train.log"
        with (
            Training(files.events, running.settings, output=log, polite=True) as training,
            FeedClient(running.url) as client,
        ):
            rng = np.random.default_rng(plan.seed)
            world, _ = generate(plan)
            audience = Audience(world, client, system_clock, rng, plan.span_s)
            served = ""
            while True:
                require_running(running.children)
                training.finished()
                version = audience.visit()
                if version != served:
                    served = version
                    _say(f"model of the feed: {served}")
                time.sleep(VISIT_EVERY_S)
    _say("ended")


def has_display(environ: Mapping[str, str]) -> bool:
    """Return whether a browser would have a screen; a text browser would take the terminal."""
    return sys.platform == "darwin" or any(environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY"))


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)

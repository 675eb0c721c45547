"""The door: `freshet VERB`, each verb imported only when it runs.

Every error that Freshet raises on purpose ends as one sentence on standard error and exit code 1
(2 for a setting), without a traceback.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from freshet import __version__
from freshet.commands.running import find_running
from freshet.core.errors import FreshetError, SettingError
from freshet.core.telemetry import switch_off

VERBS = {
    "demo": "Everything at once on this machine, with a generated log and a feed page.",
    "up": "Worker and server on embedded (or your) Kafka and Redis.",
    "generate": "Write a realistic event log whose truth is known.",
    "replay": "Play a recorded log into Kafka or over HTTP.",
    "worker": "Fold events from Kafka into Redis.",
    "serve": "Answer recommendations over HTTP and WebSocket.",
    "train": "Train a model bundle from a log, your own in Kafka or a file.",
    "eval": "Judge the product beside simple methods on logs, and write a report.",
    "models": "List, check and switch model bundles.",
    "chaos": "Pull every plug while events flow, then audit every count.",
    "doctor": "Say what is reachable, what is wrong, and what to do.",
    "lag": "How far the state is behind the log, fold by fold.",
    "dlq": "List, show, send again or dismiss what could not be applied.",
}
FINDING = {
    "replay",
    "models",
    "doctor",
    "train",
    "lag",
    "dlq",
}  # use what `freshet up` runs in this folder


class Verbs(click.Group):
    """Imports `freshet.commands.<verb>` when the verb is asked for: `--help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the verbs in the order in which people meet them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return the command of a verb, or None when there is no such verb."""
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(f"freshet.commands.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the verbs from the table, without importing any of them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="freshet")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A TOML file of settings; FRESHET_<NAME> in the environment wins over it.",
)
@click.pass_context
def cli(ctx: click.Context, config: Path | None) -> None:
    """A click is in the user's next recommendation before the page has finished scrolling.

    \b
    Start here:
      freshet demo                       everything on this machine, no Kafka or Redis needed
      freshet demo --check               the same without a person: ends with figures
    \b
    Then with your own log (JSON lines: event_id, type, user_id, item_id, ts_ms):
      freshet up                         worker and server; prints their addresses
      freshet replay my.events.jsonl.gz --speed 60
      freshet train my.events.jsonl.gz
    \b
    `freshet doctor` finds what is wrong; `freshet doctor --settings` prints every setting.
    Durations end in _s or _ms, times in _ts_ms (milliseconds since the epoch, UTC).
    """
    config = config or (find_running(os.environ) if ctx.invoked_subcommand in FINDING else None)
    if config is not None:
        # The environment is how settings reach the child processes too.
        os.environ["FRESHET_CONFIG"] = str(config.absolute())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; the entry point of the `freshet` script."""
    # Before a verb loads numpy. Every process here shares its processor with others, and a product
    # of 20,000 x 64 spread over threads that wait for a busy core takes 15 ms instead of 0.2 ms.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    switch_off(os.environ)
    try:
        cli.main(arguments, prog_name="freshet", standalone_mode=True)
    except SettingError as error:
        click.echo(f"freshet: {error}", err=True)
        sys.exit(2)
    except FreshetError as error:
        click.echo(f"freshet: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()

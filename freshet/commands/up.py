"""`freshet up`: worker and server, on embedded backends where none are named."""

from __future__ import annotations

from pathlib import Path

import click

from freshet.core.settings import load_settings


@click.command("up")
@click.option("--port", type=click.IntRange(0, 65535), help="Of the server; 0 takes a free one.")
def command(port: int | None) -> None:
    """Run worker and server in one terminal; Ctrl-C ends all.

    Kafka and Redis are the ones that FRESHET_KAFKA_BOOTSTRAP and FRESHET_REDIS_URL name. What is
    not named is started here and ends with this command, its data too: librdkafka's in-process
    broker (5 MB a partition) and a Redis without persistence. Logs lie in .freshet/logs.

    While it runs, the other verbs find it when they are called in the same folder.

    \b
    Example, in two terminals:
      freshet up
      freshet replay films.events.jsonl.gz --speed 600
    """
    from freshet.commands.processes import run_installation, supervise_until_asked

    settings = load_settings(http_port=port)
    with run_installation(settings, logs=Path(".freshet/logs"), say=click.echo) as installation:
        click.echo(f"feed page   {installation.url}/")
        click.echo(f"kafka       {installation.settings.kafka_bootstrap}")
        click.echo(f"redis       {installation.settings.redis_url}")
        click.echo("Ctrl-C ends all.")
        supervise_until_asked(installation.children)
    click.echo("ended")

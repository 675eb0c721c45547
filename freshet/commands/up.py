"""`freshet up`: worker and server, on embedded backends where none are named."""

from __future__ import annotations

from pathlib import Path

import click

from freshet.core.settings import load_settings, shown_value

LOGS = Path(".freshet/logs")


@click.command("up")
@click.option("--port", type=click.IntRange(0, 65535), help="Of the server; 0 takes a free one.")
@click.option("--kafka", is_flag=True, help="Apache Kafka and a Redis that keep everything.")
@click.option(
    "--brokers",
    type=click.Choice(["1", "3"]),
    help="Of --kafka; three keep each record three times. [default: as before, or 1]",
)
def command(port: int | None, kafka: bool, brokers: str | None) -> None:
    """Run worker and server in one terminal; Ctrl-C ends all.

    Kafka and Redis are the ones that FRESHET_KAFKA_BOOTSTRAP and FRESHET_REDIS_URL name. What is
    not named is started here and ends with this command, its data too: librdkafka's in-process
    broker (5 MB a partition) and a Redis without persistence. Logs lie in .freshet/logs.

    With --kafka, Apache Kafka is started from its jars, which needs Java 17 or newer, and Maven the
    first time; it takes some ten seconds. Its data stay in .freshet/kafka and those of Redis in
    .freshet/redis, and the next `freshet up --kafka` goes on with them, at the same address. To
    begin anew, delete both folders. Of three brokers any one may be killed: what was acknowledged
    stays, and the stream goes on within seconds.

    While it runs, the other verbs find it when they are called in the same folder.

    \b
    Examples, each in two terminals:
      freshet up
      freshet replay films.events.jsonl.gz --speed 600
    \b
      freshet up --kafka --brokers 3
      freshet lag --watch
    """
    from freshet.commands.backends import Durable
    from freshet.commands.processes import run_installation, supervise_until_asked

    if brokers and not kafka:
        raise click.UsageError("--brokers are those of --kafka; add it")
    durable = Durable(int(brokers) if brokers else None) if kafka else None
    settings = load_settings(http_port=port)
    with run_installation(settings, logs=LOGS, say=click.echo, durable=durable) as installation:
        click.echo(f"feed page   {installation.url}/")
        click.echo(f"kafka       {shown_value(installation.settings, 'kafka_bootstrap')}")
        click.echo(f"redis       {shown_value(installation.settings, 'redis_url')}")
        if durable:
            click.echo(f"data        {durable.kafka}/, {durable.redis}/ (kept)")
        click.echo("Ctrl-C ends all.")
        supervise_until_asked(installation.children)
    click.echo("ended")

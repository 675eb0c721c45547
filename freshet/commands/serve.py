"""`freshet serve`: the composition root of the server."""

from __future__ import annotations

import asyncio

import click

from freshet.core.descriptors import raise_descriptor_limit
from freshet.core.logging import configure_logging
from freshet.core.settings import load_settings


@click.command("serve")
@click.option("--host", help="Address to bind to; loopback unless told otherwise.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one.")
def command(host: str | None, port: int | None) -> None:
    """Answer recommendations over HTTP and WebSocket, with a feed page at /.

    Reads what `freshet worker` writes. Starts and answers on while Kafka or Redis is away, as far
    as that goes; /readyz says what is missing. A new bundle from `freshet train` is taken into use
    within a second or two.

    \b
    Example:
      freshet serve --port 8080
      curl 'http://127.0.0.1:8080/v1/recommendations?user=alice&k=10'
    """
    import uvloop

    from serving.server import run_server

    raise_descriptor_limit()  # each feed is a socket
    settings = load_settings(http_host=host, http_port=port)
    configure_logging("server", settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_server(settings, lambda url: click.echo(f"freshet serves at {url}")))

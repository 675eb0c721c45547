"""A reverse proxy with TLS that shows a server under a path, as `location /rec/` of nginx does.

One request a connection; what follows an upgrade is passed through.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "/rec/"


def self_signed(folder: Path) -> ssl.SSLContext:
    """Return a context with a certificate that nobody else has signed."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
               "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
               "-keyout", str(key), "-out", str(certificate)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@contextmanager
def tls_proxy(upstream: int, context: ssl.SSLContext, *, keeps_host: bool) -> Iterator[str]:
    """Run the proxy in a thread; yield the address of the page behind it.

    Args:
        upstream: port of the server on loopback.
        context: of the proxy's own TLS.
        keeps_host: whether it passes `Host` on (`proxy_set_header Host $http_host`), or sets that
            of the server, which is nginx' default.
    """
    loop = asyncio.new_event_loop()
    started: list[asyncio.Server] = []
    ready = threading.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, path, _ = head.split(" ", 2)
            if not path.startswith(PREFIX):
                writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
                writer.close()
                return
            head = head.replace(f"{method} {PREFIX}", f"{method} /", 1)
            if not re.search(r"\r\nupgrade:", head, re.IGNORECASE):
                head = re.sub(r"(?i)\r\nconnection:[^\r]*", "", head)
                head = head.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")
            if not keeps_host:
                head = re.sub(r"(?i)\r\nhost:[^\r]*", f"\r\nhost: 127.0.0.1:{upstream}", head)
            back, forth = await asyncio.open_connection("127.0.0.1", upstream)
            forth.write(head.encode("latin-1"))
            await asyncio.gather(_pump(reader, forth), _pump(back, writer))

    async def run() -> None:
        started.append(await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context))
        ready.set()

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(run(), loop)
    assert ready.wait(10)
    try:
        yield f"https://localhost:{started[0].sockets[0].getsockname()[1]}{PREFIX}"
    finally:
        loop.call_soon_threadsafe(started[0].close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, ssl.SSLError):
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    with suppress(ConnectionError, ssl.SSLError, RuntimeError):
        sink.close()

"""A network in front of Redis, which can be slow, and can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import re
import tempfile
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from freshet.core.state.client import is_cluster

CHUNK_BYTES = 65_536

Target = Callable[[], Awaitable[tuple[StreamReader, StreamWriter]]]


class Proxy:
    """Passes bytes between a Unix socket of its own and a server's, until it is cut.

    While cut, connections stay open, new ones are taken, and nothing arrives. What was sent
    meanwhile arrives when it is mended, however long ago its sender gave up: the bytes of a script
    that nobody waits for any more are the hardest case of a network.

    The nodes of a cluster tell their clients each other's ports. In what they say the proxy puts
    its own ports instead, so that whoever comes through it stays behind it.

    Args:
        url: of the server, `unix://...`, or of a cluster, `redis+cluster://...`.

    Attributes:
        url: its own address, as `FRESHET_REDIS_URL` takes it.
        held_bytes: of what is on its way now.
    """

    def __init__(self, url: str) -> None:
        # The path of a socket may have 107 characters at most, so it has a folder of its own.
        self._folder = tempfile.TemporaryDirectory(prefix="freshet-proxy-")
        self._delay_s = 0.0
        self.held_bytes = 0
        self._words: dict[bytes, bytes] = {}
        self._loop = asyncio.new_event_loop()
        self._whole = asyncio.Event()
        self._whole.set()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        listening = threading.Event()
        self._loop.call_soon(self._loop.create_task, self._listen(url, listening))
        self._thread.start()
        listening.wait()

    def slow(self, delay_s: float) -> None:
        """Let everything pass so many seconds later."""
        self._delay_s = delay_s

    def cut(self) -> None:
        """Let nothing pass."""
        self._loop.call_soon_threadsafe(self._whole.clear)

    def mend(self) -> None:
        """Let everything pass at once again, also what was held back."""
        self._delay_s = 0.0
        self._loop.call_soon_threadsafe(self._whole.set)

    def close(self) -> None:
        """End it with all its connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._folder.cleanup()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _listen(self, url: str, listening: threading.Event) -> None:
        if is_cluster(url):
            ports = [await self._listen_for(int(port)) for port in re.findall(r":(\d+)", url)]
            self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in ports)
        else:
            path = Path(self._folder.name) / "redis.sock"
            target = partial(asyncio.open_unix_connection, url.removeprefix("unix://"))
            await asyncio.start_unix_server(partial(self._connect, target), path)
            self.url = f"unix://{path}"
        listening.set()

    async def _listen_for(self, node: int) -> int:
        """Listen for the node at a port; return the port that stands for it."""
        target = partial(asyncio.open_connection, "127.0.0.1", node)
        server = await asyncio.start_server(partial(self._connect, target), "127.0.0.1", 0)
        port: int = server.sockets[0].getsockname()[1]
        # So ends an integer of CLUSTER SLOTS, and an error that says where a key has MOVED.
        self._words[f":{node}\r\n".encode()] = f":{port}\r\n".encode()
        return port

    async def _connect(
        self, target: Target, client_reader: StreamReader, client_writer: StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            reader, writer = await target()
            await asyncio.gather(
                self._pass_on(client_reader, writer), self._pass_on(reader, client_writer)
            )

    async def _pass_on(self, reader: StreamReader, writer: StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                self.held_bytes += len(chunk)
                await self._whole.wait()
                await asyncio.sleep(self._delay_s)
                self.held_bytes -= len(chunk)
                for theirs, ours in self._words.items():
                    chunk = chunk.replace(theirs, ours)
                writer.write(chunk)
                await writer.drain()
        writer.close()

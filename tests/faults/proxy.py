"""A network in front of Redis, which can be slow, and can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from pathlib import Path

CHUNK_BYTES = 65_536


class Proxy:
    """Passes bytes between a Unix socket of its own and a server's, until it is cut.

    While cut, connections stay open, new ones are taken, and nothing arrives. What was sent
    meanwhile arrives when it is mended, however long ago its sender gave up: the bytes of a script
    that nobody waits for any more are the hardest case of a network.

    Args:
        url: of the server, `unix://...`.
    """

    def __init__(self, url: str) -> None:
        # The path of a socket may have 107 characters at most, so it has a folder of its own.
        self._folder = tempfile.TemporaryDirectory(prefix="freshet-proxy-")
        self._path = str(Path(self._folder.name) / "redis.sock")
        self._delay_s = 0.0
        self.held_bytes = 0  # of what is on its way now
        self._target = url.removeprefix("unix://")
        self._loop = asyncio.new_event_loop()
        self._whole = asyncio.Event()
        self._whole.set()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        listening = threading.Event()
        self._loop.call_soon(self._loop.create_task, self._listen(listening))
        self._thread.start()
        listening.wait()

    @property
    def url(self) -> str:
        """Its address, as `FRESHET_REDIS_URL` takes it."""
        return f"unix://{self._path}"

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

    async def _listen(self, listening: threading.Event) -> None:
        await asyncio.start_unix_server(self._connect, self._path)
        listening.set()

    async def _connect(
        self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_unix_connection(self._target)
            await asyncio.gather(
                self._pass_on(client_reader, writer), self._pass_on(reader, client_writer)
            )

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                self.held_bytes += len(chunk)
                await self._whole.wait()
                await asyncio.sleep(self._delay_s)
                self.held_bytes -= len(chunk)
                writer.write(chunk)
                await writer.drain()
        writer.close()

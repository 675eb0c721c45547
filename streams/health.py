"""`/livez` and `/metrics` of a worker, from threads of their own: a wedged loop answers too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from freshet.core.address import host_port, listening_socket
from freshet.core.errors import SettingError

TIMEOUT_S: Final = 10.0  # a client that says nothing for so long is let go


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker says of itself.

    Attributes:
        status: "ok", or why it is to be started anew.
        partitions: how many are its own.
        lag: records that wait in them, when the brokers were last asked.
    """

    status: str
    partitions: int
    lag: int

    @property
    def alive(self) -> bool:
        """Whether the process may go on."""
        return self.status == "ok"


class HealthServer:
    """Answers over HTTP until it is closed.

    Args:
        host: address to bind to.
        port: 0 takes a free one.
        health: asked for each `/livez`.

    Raises:
        SettingError: the address cannot be bound.
    """

    def __init__(self, host: str, port: int, health: Callable[[], Health]) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = TIMEOUT_S

            def do_GET(self) -> None:  # the name is http.server's
                self._answer(*_answer(self.path, health))

            def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", content_type)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

        try:
            listener = listening_socket(host, port)
        except OSError as error:
            raise SettingError(
                "worker_metrics_port", host_port(host, port), f"a free address ({error.strerror})"
            ) from error
        self._server = Server(listener.getsockname(), Handler, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = listener
        self._server.server_activate()
        self.port = int(listener.getsockname()[1])
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


def _answer(path: str, health: Callable[[], Health]) -> tuple[HTTPStatus, str, bytes]:
    route = path.partition("?")[0]
    if route == "/metrics":
        return HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(REGISTRY)
    if route == "/livez":
        found = health()
        status = HTTPStatus.OK if found.alive else HTTPStatus.SERVICE_UNAVAILABLE
        return status, "application/json", msgspec.json.encode(found)
    return HTTPStatus.NOT_FOUND, "text/plain", b"only /livez and /metrics\n"

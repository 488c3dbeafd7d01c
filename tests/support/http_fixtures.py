"""A real HTTP server in a thread, which notes what it is asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass(frozen=True)
class Asked:
    """A request that has arrived."""

    at: float
    """Unix seconds."""
    path: str
    """What follows the host."""
    headers: dict[str, str]
    """Its headers, names in small letters."""
    body: Any
    """Its JSON."""
    port: int
    """The client's port, one for each connection."""


@dataclass(frozen=True)
class Reply:
    """What the server answers: JSON, or bytes as they are."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Server:
    """answer: called with each request; by default the lengths of the `sequences`."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answer: Callable[[Asked], Reply] = lambda one: Reply(
            [len(text) for text in one.body["sequences"]]
        )
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): text for name, text in self.headers.items()}
                asked = Asked(
                    time.time(), self.path, headers, json.loads(content), self.client_address[1]
                )
                server.asked.append(asked)
                reply = server.answer(asked)
                body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body)
                body = body if isinstance(body, bytes) else body.encode()
                self.send_response(reply.status)
                for name, text in (reply.headers | {"Content-Length": str(len(body))}).items():
                    self.send_header(name, text)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_port
        self.url = f"http://127.0.0.1:{self.port}/score"
        threading.Thread(target=self._http.serve_forever, args=[0.02], daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Server()
    yield made
    made.close()

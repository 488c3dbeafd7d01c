"""An S3-compatible server on this machine, which can be made to refuse requests."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest


class S3Server:
    """An S3-compatible server (moto's) on this machine, which can be made to refuse requests.

    requests: "METHOD /path?query" of each so far; signed: their authorization headers; refuses:
    function that says whether to answer a request with an error.
    """

    def __init__(self) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.requests: list[str] = []
        self.signed: set[str] = set()
        self.refuses: Callable[[str], bool] = lambda request: False
        self.endpoint = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Any:
        query = f"?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else ""
        request = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}{query}"
        self.requests.append(request)
        self.signed.add(environ.get("HTTP_AUTHORIZATION", ""))
        if self.refuses(request):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response("403 Forbidden", [("Content-Length", "0")])
            return [b""]
        return self._app(environ, start_response)

    def bucket(self, name: str) -> str:
        """The URI of a new bucket, with credentials and endpoint."""
        connection = http.client.HTTPConnection(self.endpoint)
        connection.request("PUT", f"/{name}")
        assert connection.getresponse().status == 200
        return self.uri(name)

    def uri(self, path: str) -> str:
        return f"s3://key:secret@{path}?endpoint_override={self.endpoint}&scheme=http"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.close()


@pytest.fixture
def s3(s3_server: S3Server) -> Iterator[S3Server]:
    """The server without requests yet; it refuses none."""
    s3_server.requests.clear()
    yield s3_server
    s3_server.refuses = lambda request: False

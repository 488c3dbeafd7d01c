"""The command `watch`: the page about a run, from a server on this machine, with the newest data.

It only reads. On another address than loopback every request needs the token of the URL that the
command prints.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import threading
import time
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rich.console import Console

from sequence_tutor.distributed.commands.plain_print import print_plainly
from sequence_tutor.distributed.commands.report import LIVE_EVERY_S, LIVE_SHARE, run_at
from sequence_tutor.distributed.report.page.beside import Beside, read_beside
from sequence_tutor.distributed.report.page.page import page_of
from sequence_tutor.policies.files.storage import Where

# Seconds between two questions of an open page, and longest that a server waits for a request.
ASK_EVERY_S, REQUEST_S = 10.0, 30.0


def _waiting(why: str) -> bytes:
    """A page that asks again after five seconds."""
    return (
        "<!doctype html><meta charset='utf-8'><meta http-equiv='refresh' content='5'>"
        f"<title>Sequence Tutor</title><p>{escape(why)}"
    ).encode()


class NewestPage:
    """The page about a run, made again while a browser asks for it.

    html: the page, or why there is none yet; made: when, Unix seconds, 0 before the first one.
    """

    def __init__(self, where: Where, against: Where | None) -> None:
        self._where, self._against = where, against
        self._beside: Beside | None = None
        self._lock, self._making = threading.Lock(), False
        self._due_at = 0.0
        self.made, self.html = 0.0, _waiting("The page is being made.")

    def ask(self) -> None:
        """Let a thread make the page, unless one does or it is new enough."""
        with self._lock:
            if self._making or time.monotonic() < self._due_at:
                return
            self._making = True
        threading.Thread(target=self._make, daemon=True, name="page").start()

    def _make(self) -> None:
        began, made = time.monotonic(), time.time()
        try:
            run = run_at(self._where)
            self._beside = self._beside or read_beside(run.parts[-1].config, self._against)
            self.html = page_of(run, self._beside, made, ASK_EVERY_S).encode()
            self.made = made
        except (ValueError, OSError) as error:
            # nothing on record yet, or storage fails for a while: an earlier page stays
            if not self.made:
                self.html = _waiting(f"No page yet: {error}")
        finally:
            took_s = time.monotonic() - began
            with self._lock:
                self._making = False
                self._due_at = time.monotonic() + max(LIVE_EVERY_S, took_s / LIVE_SHARE)


class _Handler(BaseHTTPRequestHandler):
    """Answers GET / with the page and GET /version with when it was made."""

    page: NewestPage
    token = ""
    hosts: frozenset[str] = frozenset()
    timeout = REQUEST_S
    server_version, sys_version = "sequence-tutor", ""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        given = parse_qs(url.query).get("token", [""])[0]
        if self.token and not hmac.compare_digest(given.encode(), self.token.encode()):
            return self._answer(403, b"the token in the URL is missing or wrong\n", "text/plain")
        # a page of another site whose name leads here must not read this one
        name = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        if not self.token and name not in self.hosts:
            return self._answer(403, b"ask for 127.0.0.1 or localhost\n", "text/plain")
        if url.path == "/version":
            self.page.ask()
            return self._answer(200, f"{self.page.made:.3f}".encode(), "text/plain")
        if url.path != "/":
            return self._answer(404, b"there is only /\n", "text/plain")
        self.page.ask()
        return self._answer(200, self.page.html, "text/html")

    def _answer(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: each open page asks every ten seconds."""


def watch_run(where: Where, host: str, port: int, against: Where | None, console: Console) -> None:
    """Serve the page about a run until Ctrl-C. Raises ConfigError where there is no run, OSError
    where the address can't be used."""
    run_at(where)
    with server_of(where, host, port, against) as server:
        console.print(f"{url_of(server)} (Ctrl-C ends it)", soft_wrap=True, highlight=False)
        if server.RequestHandlerClass.token:  # type: ignore[attr-defined]
            print_plainly(console, "all who have this URL can read the run; it isn't encrypted")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


def server_of(where: Where, host: str, port: int, against: Where | None) -> ThreadingHTTPServer:
    """A server of the page; `port` 0 takes any that is free. On loopback it needs no token."""
    loopback = host == "localhost" or _is_loopback(host)

    class Handler(_Handler):
        page = NewestPage(where, against)
        token = "" if loopback else secrets.token_urlsafe(16)
        hosts = frozenset({host, "127.0.0.1", "localhost", "::1"})

    Handler.page.ask()
    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    return server


def url_of(server: ThreadingHTTPServer) -> str:
    """Where the page is."""
    host, port = server.server_address[:2]
    token = server.RequestHandlerClass.token  # type: ignore[attr-defined]
    return f"http://{host!s}:{port}/" + (f"?token={token}" if token else "")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

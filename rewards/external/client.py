"""The HTTP client of `rest`: one POST after another, with retries, a pace and secret headers."""

from __future__ import annotations

import os
import random
import re
import urllib.request
from collections.abc import Mapping
from string import Template
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError, LocationParseError, MaxRetryError
from urllib3.util.retry import Retry

from sequence_tutor.rewards.external.answers import shown
from sequence_tutor.rewards.external.dividing import BatchComplaint
from sequence_tutor.rewards.external.pace import Pace
from sequence_tutor.rewards.returned import Complaint

# Status codes after which a request is repeated; Retry-After is honoured.
_AGAIN = (429, 502, 503, 504)
# Status codes for which one of several sequences may be the reason.
_OF_A_SEQUENCE = (400, 413, 422, 500)
# Mean seconds before the first repetition, which double each time; most seconds; the share by which
# the wait varies, so that the processes of a cluster don't come back all at once.
FIRST_S, MOST_S, SPREAD = 0.5, 60.0, 0.5
_REDIRECTS = 5
# Least characters of a secret that is struck out of an error text; shorter ones are in any text.
_SECRET = 4
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def check_url(url: str) -> None:
    """Raises ValueError with one sentence for what no request can be sent to."""
    try:
        parts = urllib3.util.parse_url(url)
    except LocationParseError as error:
        raise ValueError(f"url = {url!r}: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.host:
        raise ValueError(f"url = {url!r} must begin with http:// or https:// and a host")
    if parts.auth:
        raise ValueError(
            "url has a user name or a password: give them as headers.Authorization, from an "
            "environment variable"
        )


class BackOff(Retry):
    """Retries after FIRST_S, 2 FIRST_S, 4 FIRST_S, ... seconds, up to MOST_S, each varied."""

    def get_backoff_time(self) -> float:
        failures = sum(1 for one in self.history if one.redirect_location is None)
        mean_s = min(MOST_S, FIRST_S * 2.0 ** max(0, failures - 1))
        return mean_s * random.uniform(1 - SPREAD, 1 + SPREAD)


class Headers:
    """Header templates, whose `$NAME` and `${NAME}` are variables of the environment. The values
    are never kept: they are looked up at each request."""

    def __init__(self, templates: Mapping[str, str]) -> None:
        self._templates = {name: Template(text) for name, text in templates.items()}

    @property
    def names(self) -> list[str]:
        return list(self._templates)

    def check(self) -> None:
        """Raises ValueError for a wrong name or value, and for a variable that isn't set; no value
        of a variable is in its text."""
        for name, template in self._templates.items():
            if not _HEADER.fullmatch(name):
                raise ValueError(f"headers: {name!r} is no name of a header")
            if not template.is_valid():
                raise ValueError(
                    f"headers.{name}: write a variable as ${{NAME}}, and a dollar sign as $$"
                )
            for variable in template.get_identifiers():
                if variable not in os.environ:
                    raise ValueError(
                        f"headers.{name} needs the environment variable {variable}, which isn't "
                        "set on this machine"
                    )
            text = template.substitute(os.environ)
            if not text.isprintable() or not text.isascii():
                raise ValueError(
                    f"headers.{name} has a line end or another character that no header may have"
                )

    def resolved(self) -> dict[str, str]:
        """The headers as they are sent."""
        return {name: one.substitute(os.environ) for name, one in self._templates.items()}

    def struck_out(self, answer: Any) -> Any:
        """A text, or what JSON holds, without the values of the variables in its texts."""
        if isinstance(answer, list):
            return [self.struck_out(one) for one in answer]
        if isinstance(answer, dict):
            return {self.struck_out(key): self.struck_out(one) for key, one in answer.items()}
        return self._without(answer) if isinstance(answer, str) else answer

    def _without(self, text: str) -> str:
        for template in self._templates.values():
            for variable in template.get_identifiers():
                value = os.environ.get(variable, "")
                if len(value) >= _SECRET:
                    text = text.replace(value, f"${{{variable}}}")
        return text


class Client:
    """Posts to one URL. pace: None for no limit. Connects at the first request."""

    def __init__(
        self, url: str, headers: Headers, timeout_s: float, retries: int, pace: Pace | None
    ) -> None:
        self._url, self._headers, self._pace = url, headers, pace
        self._timeout = urllib3.Timeout(total=timeout_s)
        self._retries = BackOff(
            total=None,
            connect=retries,
            read=retries,
            status=retries,
            other=retries,
            redirect=_REDIRECTS,
            allowed_methods=None,  # a POST too: to ask for a value again does no harm
            status_forcelist=_AGAIN,
            raise_on_status=False,
            raise_on_redirect=False,
            remove_headers_on_redirect=[*headers.names, *Retry.DEFAULT_REMOVE_HEADERS_ON_REDIRECT],
        )
        self._pools: urllib3.PoolManager | None = None

    def post(self, body: bytes) -> str:
        """The text of the answer. Raises Complaint, without secrets, where there is none."""
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": "sequence-tutor",
        }
        own = self._headers.resolved()
        given = {name.lower() for name in own}
        headers = {name: text for name, text in headers.items() if name.lower() not in given} | own
        try:
            answer = self._connected().request(
                "POST",
                self._url,
                body=body,
                headers=headers,
                retries=self._retries,
                timeout=self._timeout,
            )
            text = answer.data.decode("utf-8", errors="replace")
        except HTTPError as error:
            reason = error.reason if isinstance(error, MaxRetryError) else error
            raise Complaint(self._headers.struck_out(f"{self._url}: {reason}")) from None
        if answer.status == 200:
            return text
        tries = 0 if answer.retries is None else len(answer.retries.history)
        after = f" after {tries + 1} attempts" if tries else ""
        said = f"{self._url} answered {answer.status} {answer.reason or ''}".rstrip()
        text = self._headers.struck_out(text)
        more = f": {shown(text)}" if text.strip() else ""
        kind = BatchComplaint if answer.status in _OF_A_SEQUENCE else Complaint
        raise kind(self._headers.struck_out(f"{said}{after}") + more)

    def _connected(self) -> urllib3.PoolManager:
        if self._pools is None:
            self._pools = _manager(self._url)
            if self._pace is not None:
                pace = self._pace
                self._pools.pool_classes_by_scheme = {
                    scheme: _paced(pool, pace)
                    for scheme, pool in self._pools.pool_classes_by_scheme.items()
                }
        return self._pools


def _manager(url: str) -> urllib3.PoolManager:
    """Connections, through the proxy that the environment names for the URL, if it does. TLS
    certificates are verified with the system's authorities, or those of SSL_CERT_FILE."""
    parts = urllib3.util.parse_url(url)
    proxy = urllib.request.getproxies().get(parts.scheme or "")
    if not proxy or urllib.request.proxy_bypass(parts.host or ""):
        return urllib3.PoolManager()
    by = urllib3.util.parse_url(proxy if "://" in proxy else f"http://{proxy}")
    secret = urllib3.util.make_headers(proxy_basic_auth=by.auth) if by.auth else None
    return urllib3.ProxyManager(by._replace(auth=None).url, proxy_headers=secret)


def _paced(pool: type[Any], pace: Pace) -> type[Any]:
    """A class of connections that waits for a slot before each request, a repeated or redirected
    one too."""

    class Paced(pool):  # type: ignore[misc]
        def urlopen(self, *args: Any, **options: Any) -> Any:
            pace.wait()
            return super().urlopen(*args, **options)

    return Paced

"""Checks whether a Ray cluster answers at RAY_ADDRESS before Ray connects to it: Ray itself would
try for 15 minutes."""

from __future__ import annotations

import os
import socket
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillRunning
from threading import Thread
from typing import Any

import ray
from ray._private import services

# Longest time, in seconds, for each address of a host name, and for the whole check.
CONNECT_S, CHECK_S = 5.0, 15.0
# Seconds to wait for a Ray node to start on this machine, and between two checks.
NODE_S, LOOK_EVERY_S = 10.0, 0.5
# An address family, and an address of that family for `socket.connect`.
_Place = tuple[int, Any]
# First bytes of an HTTP/2 client: preface and empty settings. Ray's head answers with settings.
_CLIENT_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_FRAME_HEADER_BYTES, _SETTINGS = 9, 4


class ClusterError(ValueError):
    """The cluster doesn't answer, or this machine can't join it."""


def cluster_address() -> str | None:
    """The cluster that RAY_ADDRESS names; None where Ray is to start on this machine."""
    address = os.environ.get("RAY_ADDRESS", "").strip()
    return None if address in ("", "local") else address


def check_cluster(timeout_s: float = CHECK_S) -> None:
    """Raises ClusterError where RAY_ADDRESS names a cluster that doesn't answer within `timeout_s`,
    or of which this machine isn't a node."""
    if (address := cluster_address()) is None or ray.is_initialized():
        return
    places: Future[list[_Place]] = Future()

    def work() -> None:
        try:
            places.set_result(_places(address))
        except BaseException as error:
            places.set_exception(error)

    ends_at = time.monotonic() + timeout_s
    # in a thread, which can be abandoned: resolving a name has no time limit
    Thread(target=work, name="cluster address", daemon=True).start()
    try:
        found = places.result(timeout_s)
    except StillRunning:
        raise _not_there(address, f"its name wasn't resolved within {timeout_s:g} s") from None
    except UnicodeError:
        raise _not_there(address, "its name can't be that of a machine") from None
    except OSError as error:
        raise _not_there(address, _reason(error, timeout_s)) from error
    reasons = []
    for family, place in found:
        left_s = min(CONNECT_S, ends_at - time.monotonic())
        if left_s <= 0:
            break
        try:
            _greet(family, place, left_s)
            return _check_node(address)
        except OSError as error:
            reasons.append(_reason(error, left_s))
    raise _not_there(address, reasons[0] if reasons else "no answer in time")


def _places(address: str) -> list[_Place]:
    """The addresses that Ray would connect to. Raises ClusterError for a malformed address, OSError
    where the name isn't known or "auto" finds no cluster."""
    scheme, separator, rest = address.rpartition("://")
    if separator and scheme != "ray":
        raise ClusterError(
            f"RAY_ADDRESS={address} is not the address of a cluster, which reads host:port, such "
            "as 10.0.0.1:6379; an http address is for `ray job submit`"
        )
    if rest == "auto":
        rest = services.get_ray_address_from_environment("auto", None)
    host, port = _host_and_port(address, rest)
    if not separator:  # as Ray does: a cluster here listens at the machine's own address
        host = services.resolve_ip_for_localhost(host)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, place) for family, _, _, _, place in found]


def _host_and_port(address: str, text: str) -> tuple[str, int]:
    """Split host:port. Raises ClusterError for another text."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""  # an IPv6 address without brackets is ambiguous
    known = port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16
    if not (host and colon and known) or any(c.isspace() for c in host):
        raise ClusterError(
            f"RAY_ADDRESS={address} is not the address of a cluster, which reads host:port, such "
            "as 10.0.0.1:6379 or [fd00::1]:6379; it can also be auto, or local"
        )
    return host, int(port)


def _greet(family: int, place: Any, timeout_s: float) -> None:
    """Connect, and check that the server speaks HTTP/2. Raises OSError."""
    ends_at = time.monotonic() + timeout_s
    with socket.socket(family, socket.SOCK_STREAM) as end:
        end.settimeout(timeout_s)
        end.connect(place)
        if os.environ.get("RAY_USE_TLS", "0") in ("1", "true"):
            return  # the answer would be encrypted
        end.sendall(_CLIENT_PREFACE)
        answer = b""
        while len(answer) < _FRAME_HEADER_BYTES:
            end.settimeout(max(0.01, ends_at - time.monotonic()))
            data = end.recv(_FRAME_HEADER_BYTES - len(answer))
            if not data:
                raise OSError("what listens there closed the connection, so it isn't Ray")
            answer += data
        if answer[3] != _SETTINGS:
            raise OSError("what listens there isn't Ray")


def _check_node(address: str) -> None:
    """Raises ClusterError where no Ray node runs on this machine: Ray would look for one for a
    minute. A driver that connects through ray:// needs none."""
    ends_at = time.monotonic() + NODE_S
    while not (address.startswith("ray://") or services.find_node_ids()):
        if time.monotonic() >= ends_at:
            raise ClusterError(
                f"a Ray cluster answers at RAY_ADDRESS={address}, but this machine is none of its "
                f"nodes: run `ray start --address={address}` here, or submit the run as a job"
            )
        time.sleep(LOOK_EVERY_S)


def _reason(error: OSError, waited_s: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {waited_s:.0f} s"
    return error.strerror or str(error)


def _not_there(address: str, reason: str) -> ClusterError:
    return ClusterError(
        f"no Ray cluster answers at RAY_ADDRESS={address}: {reason}; start it, correct the "
        "address, or unset RAY_ADDRESS to run on this machine alone"
    )

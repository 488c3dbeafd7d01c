"""An unreachable cluster raises one sentence within seconds."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import ray
from ray._private import services

from sequence_tutor.distributed.ray_cluster import address as cluster_address
from sequence_tutor.distributed.ray_cluster.address import ClusterError, check_cluster

# the first bytes of an HTTP/2 server: empty settings
SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
CONFIG = '[reward]\n[[reward.component]]\nname = "qed"\n'


@pytest.fixture(autouse=True)
def no_ray_here(monkeypatch: pytest.MonkeyPatch) -> None:
    # other tests of this process may have left Ray running; short waits
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(cluster_address, "CONNECT_S", 1.0)
    monkeypatch.setattr(cluster_address, "NODE_S", 0.2)


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def server(servers: ExitStack, answer: bytes | None, host: str = "127.0.0.2") -> str:
    """The address of a server that sends `answer` once; with None it never answers."""
    end = servers.enter_context(socket.create_server((host, 0)))

    def work() -> None:
        connection, _ = end.accept()
        if answer is None:
            servers.callback(connection.close)
            return
        with connection:
            connection.recv(1000)
            connection.sendall(answer)

    threading.Thread(target=work, daemon=True).start()
    return f"{host}:{end.getsockname()[1]}"


def full_server(servers: ExitStack) -> str:
    """The address of a socket with a full queue of connections: packets are dropped."""
    end = servers.enter_context(socket.socket())
    end.bind(("127.0.0.3", 0))
    end.listen(0)
    for _ in range(3):
        waiting = servers.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(end.getsockname())
    return f"127.0.0.3:{end.getsockname()[1]}"


def refusing_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as end:
        return int(end.getsockname()[1])


def error_of(monkeypatch: pytest.MonkeyPatch, address: str) -> str:
    monkeypatch.setenv("RAY_ADDRESS", address)
    started = time.monotonic()
    with pytest.raises(ClusterError) as error:
        check_cluster()
    assert time.monotonic() - started < 5
    assert f"RAY_ADDRESS={address}" in str(error.value) and "\n" not in str(error.value)
    return str(error.value)


def test_a_cluster_that_answers_passes(servers: ExitStack, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_ADDRESS", server(servers, SETTINGS))
    monkeypatch.setattr(services, "find_node_ids", lambda: {"0123"})
    check_cluster()


@pytest.mark.parametrize("address", ["", "  ", "local"])
def test_no_address_passes(monkeypatch: pytest.MonkeyPatch, address: str):
    monkeypatch.setenv("RAY_ADDRESS", address)
    check_cluster()


def test_a_cluster_without_this_machine_raises(servers: ExitStack, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(services, "find_node_ids", set)
    assert "none of its nodes" in error_of(monkeypatch, server(servers, SETTINGS))


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_port_that_refuses_raises(monkeypatch: pytest.MonkeyPatch, scheme: str):
    for host in ("127.0.0.1", "[::1]", "localhost"):
        text = error_of(monkeypatch, f"{scheme}{host}:{refusing_port()}")
        assert "no Ray cluster answers" in text


def test_dropped_packets_raise(servers: ExitStack, monkeypatch: pytest.MonkeyPatch):
    assert "no answer within 1 s" in error_of(monkeypatch, full_server(servers))


def test_a_server_that_never_answers_raises(servers: ExitStack, monkeypatch: pytest.MonkeyPatch):
    assert "no answer within 1 s" in error_of(monkeypatch, server(servers, None))


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n", b""])
def test_a_server_that_is_not_ray_raises(
    servers: ExitStack, monkeypatch: pytest.MonkeyPatch, answer: bytes
):
    assert "what listens there" in error_of(monkeypatch, server(servers, answer))


@pytest.mark.parametrize(
    "address",
    ["head", "head:", ":6379", "head:port", "head:99999", "::1:6379", "a b:1", "ray://", "head:²"],
)
def test_a_malformed_address_raises(monkeypatch: pytest.MonkeyPatch, address: str):
    assert "reads host:port" in error_of(monkeypatch, address)


def test_the_address_for_jobs_raises_with_the_job_command(monkeypatch: pytest.MonkeyPatch):
    assert "ray job submit" in error_of(monkeypatch, "http://127.0.0.1:8265")


@pytest.mark.parametrize("host", ["head.invalid", "a" * 70, "..", "é.invalid"])
def test_an_unknown_host_name_raises(monkeypatch: pytest.MonkeyPatch, host: str):
    assert "no Ray cluster answers" in error_of(monkeypatch, f"{host}:6379")


def test_a_name_server_that_never_answers_raises(monkeypatch: pytest.MonkeyPatch):
    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait(20))
    monkeypatch.setenv("RAY_ADDRESS", "head.example:6379")
    with pytest.raises(ClusterError, match="wasn't resolved within 0.5 s"):
        check_cluster(0.5)
    ended.set()


def test_auto_without_a_cluster_raises(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(services, "find_gcs_addresses", set)
    monkeypatch.setattr(services, "find_bootstrap_address", lambda _: None)
    assert "no Ray cluster answers" in error_of(monkeypatch, "auto")


@pytest.mark.parametrize("command", ["optimize", "score"])
def test_commands_without_a_cluster_exit_with_2(tmp_path: Path, command: str):
    (tmp_path / "run.toml").write_text(CONFIG)
    (tmp_path / "file.smi").write_text("CCO\n")
    files = ["run.toml"] + ["file.smi"] * (command == "score")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "sequence_tutor.distributed.commands.cli",
            command,
            *files,
            "--out",
            "out",
        ],
        cwd=tmp_path,
        env=os.environ | {"RAY_ADDRESS": f"127.0.0.1:{refusing_port()}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2, done
    assert done.stderr.startswith("error: no Ray cluster answers") and done.stderr.count("\n") == 1
    assert not [p for p in tmp_path.iterdir() if p.name.startswith("out")]

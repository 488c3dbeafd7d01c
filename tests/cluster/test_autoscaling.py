"""Demand adds nodes, idle nodes are removed and no score is lost, with Ray's own autoscaler and its
provider of pretend nodes: each is a raylet on this machine.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import psutil
import pytest

from sequence_tutor.distributed.replay.record.writer import read_table

pytestmark = pytest.mark.nightly

MOST_NODES, CPUS = 2, 2
PATIENCE_S = 240.0
# The head's node id.
HEAD = "f" * 51 + "00000"
REWARD = """
[reward]
timeout_s = 60
[[reward.component]]
name = "python"
function = "counted_rewards:slow"
"""
# Commands of a cluster file; empty here, as the provider starts raylets.
COMMANDS = (
    "cluster_synced_files",
    "initialization_commands",
    "setup_commands",
    "head_setup_commands",
    "worker_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)
# Prints the number of nodes whenever it changes.
WATCH = """
import sys, time, ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
before = None
while True:
    now = sum(node["Alive"] for node in ray.nodes())
    if now != before:
        print("nodes", now, flush=True)
    before = now
    time.sleep(0.2)
"""


@dataclass
class Autoscaled:
    """A cluster whose head has no CPU. counter: file with the calls of its rewards; nodes: numbers
    of nodes, one entry for each change."""

    address: str
    counter: Path
    nodes: list[int] = field(default_factory=list)

    def run(self, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "sequence_tutor.distributed.commands.cli", *map(str, arguments)],
            cwd=cwd,
            env=os.environ | {"RAY_ADDRESS": self.address},
            capture_output=True,
            text=True,
            timeout=300,
        )

    def calls(self) -> Counter[str]:
        return Counter(self.counter.read_text().split())

    def await_nodes(self, n: int) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while self.nodes[-1] != n:
            assert time.monotonic() < deadline, self.nodes
            time.sleep(0.2)


def autoscaling_config(address: str) -> dict[str, object]:
    return {
        "cluster_name": "pretend",
        "max_workers": MOST_NODES,
        "idle_timeout_minutes": 0.1,
        "upscaling_speed": 10.0,
        "provider": {
            # as an external one: the defaults of "fake_multinode" don't come with Ray's package
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "gcs_address": address,
            "head_node_id": HEAD,
            "launch_multiple": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
        },
        "auth": {},
        "file_mounts": {},
        **{name: [] for name in COMMANDS},
        "head_node_type": "ray.head.default",  # the provider knows the head by it
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "scoring": {
                "resources": {"CPU": CPUS, "object_store_memory": 10**8},
                "node_config": {},
                "min_workers": 0,
                "max_workers": MOST_NODES,
            },
        },
    }


@pytest.fixture(scope="module")
def cluster(
    plugins: Path, tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Autoscaled]:
    directory = tmp_path_factory.mktemp("autoscaled")
    host = socket.gethostbyname(socket.gethostname())
    address = f"{host}:{free_port()}"
    config = directory / "autoscaling.json"
    config.write_text(json.dumps(autoscaling_config(address)))
    environment = os.environ | {
        "RAY_FAKE_CLUSTER": "1",
        "RAY_enable_autoscaler_v2": "1",
        "RAY_CLOUD_INSTANCE_ID": HEAD,
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD,
        "COUNTER": str(directory / "counter"),
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "PYTHONPATH": os.pathsep.join([str(plugins), os.environ.get("PYTHONPATH", "")]),
    }
    port = address.split(":")[1]
    ray = str(Path(sys.executable).with_name("ray"))
    with (directory / "head.log").open("w") as log:
        head_process = subprocess.Popen(
            [ray, "start", "--head", "--block", f"--port={port}", "--num-cpus=0"]
            # the default port allows only one such cluster on a machine
            + [f"--ray-client-server-port={free_port()}"]
            + [f"--node-ip-address={host}", "--include-dashboard=false"]
            + [f"--autoscaling-config={config}", "--object-store-memory=100000000"],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    made = Autoscaled(address, directory / "counter")
    watch = subprocess.Popen(
        [sys.executable, "-c", WATCH, address], stdout=subprocess.PIPE, text=True
    )

    def listen() -> None:
        for line in watch.stdout or ():
            if line.startswith("nodes "):  # Ray prints other lines
                made.nodes.append(int(line.split()[1]))

    Thread(target=listen, daemon=True).start()
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not made.nodes:
            assert time.monotonic() < deadline, (directory / "head.log").read_text()[-2000:]
            time.sleep(0.2)
        yield made
    finally:
        watch.kill()
        descendants = psutil.Process(head_process.pid).children(recursive=True)
        os.killpg(head_process.pid, signal.SIGKILL)
        for process in descendants:
            if process.is_running():
                process.kill()
        head_process.wait()


@pytest.fixture
def job(
    cluster: Autoscaled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugins: Path
) -> Path:
    """The working directory."""
    monkeypatch.setenv("PYTHONPATH", str(plugins), prepend=os.pathsep)
    cluster.counter.write_text("")
    return tmp_path


def test_scoring_a_file_adds_nodes_and_frees_them(
    cluster: Autoscaled, job: Path, molecules: list[str]
):
    lines = [m for m in molecules if not m.startswith("NN")][:160]  # the reward fails on those
    (job / "all.smi").write_text("".join(f"{line}\n" for line in lines))
    scorers = (
        f"[scorers]\nmin = 1\ncount = {MOST_NODES * CPUS}\nidle_s = 3\n[replay]\nflush_s = 2\n"
    )
    (job / "score.toml").write_text(REWARD + scorers)
    done = cluster.run("score", "score.toml", "all.smi", "--out", "out.csv", cwd=job)
    assert done.returncode == 0, done.stderr
    assert cluster.nodes[0] == 1  # at first only the head, which has no CPU
    assert max(cluster.nodes) == 1 + MOST_NODES
    with (job / "out.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["sequence"] for row in rows] == lines
    assert {row["status"] for row in rows} == {"ok"}
    assert set(cluster.calls().values()) == {1}
    cluster.await_nodes(1)


def test_a_run_waits_for_its_nodes_and_frees_them(cluster: Autoscaled, job: Path, tiny_prior: Path):
    cluster.await_nodes(1)
    before = len(cluster.nodes)
    (job / "run.toml").write_text(
        f'prior = "{tiny_prior}"\n{REWARD}'
        "[learner]\nbatch = 16\nthreads = 1\nupdates_per_call = 2\n"
        "[replay]\nmin_rows = 16\nratio = 1\nflush_s = 2\n[actors]\nbatch = 16\n"
        "[stop]\nscores = 60\n"
    )
    done = cluster.run("optimize", "run.toml", "--out", "run", cwd=job)
    assert done.returncode == 0, done.stderr
    assert max(cluster.nodes[before:]) == 3  # for learner, actor and scorer
    keys = read_table(job / "run" / "scores").column("key").to_pylist()
    assert len(keys) == len(set(keys))
    assert set(cluster.calls().values()) == {1}
    cluster.await_nodes(1)


def test_a_run_without_room_names_what_is_missing(cluster: Autoscaled, job: Path):
    (job / "score.toml").write_text(f"wait_s = 5\n{REWARD}[scorers]\ncount = 9\n")
    (job / "all.smi").write_text("CCO\n")
    done = cluster.run("score", "score.toml", "all.smi", cwd=job)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no room for the run within 5 s: the run needs 9.02 CPU")
    assert done.stderr.count("\n") == 1

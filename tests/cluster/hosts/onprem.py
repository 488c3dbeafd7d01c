"""A cluster as a user has it: `ray up cluster/onprem.yaml` from a laptop, jobs through a tunnel.

Laptop, head and workers are pretend machines. The laptop holds a checkout as far as `ray up` needs
it and a directory for jobs, ~/job; the commands are those of docs/jobs.md.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import yaml
from machines import Machine, Room

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = "sequence-tutor"
SOURCES = ("distributed", "policies", "rewards", "pyproject.toml", "README.md", "LICENSE")
ACTIVATED = "cd ~/checkout && . ~/sequence-tutor/bin/activate && export RAY_AUTH_MODE=token && "
DASHBOARD = "http://127.0.0.1:8265"
# Prints the answer of a URL to a request with the token.
ASK = """
import pathlib, urllib.request
token = (pathlib.Path.home() / ".ray" / "auth_token").read_text().strip()
request = urllib.request.Request("{url}", headers={{"Authorization": "Bearer " + token}})
print(urllib.request.urlopen(request, timeout=60).read().decode())
"""
# Most seconds for `ray up`, for a job, and for a host to join before it is started by hand.
UP_S, JOB_S, PATIENCE_S = 600.0, 600.0, 90.0
ENDED = ("SUCCEEDED", "STOPPED", "FAILED")


def until(done: Callable[[], bool], what: str, timeout_s: float = JOB_S) -> None:
    """Wait until `done` returns True. Raises AssertionError with `what` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.5)


def build_wheel(directory: Path) -> Path:
    """The package's wheel, built from a copy so that the checkout stays as it is."""
    copy = directory / "source"
    copy.mkdir(parents=True)
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", directory, copy]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(directory.glob("*.whl"))


class OnPrem:
    """A laptop, a head and workers, all on; Ray is not up yet."""

    def __init__(self, room: Room, wheel: Path, workers: int) -> None:
        self.room = room
        self.laptop, self.head = room.machine("laptop"), room.machine("head")
        self.workers = [room.machine(f"worker{i + 1}") for i in range(workers)]
        for machine in (self.laptop, *self.hosts):
            machine.power_on()
        self._tunnel: subprocess.Popen[str] | None = None
        self._lay_out(wheel)

    @property
    def hosts(self) -> list[Machine]:
        """The machines of the cluster, the head first."""
        return [self.head, *self.workers]

    def _lay_out(self, wheel: Path) -> None:
        """Fill the laptop's home: checkout, key, token."""
        home = self.laptop.on_disk("/root")
        (home / "checkout" / "cluster").mkdir(parents=True)
        (home / "checkout" / "dist").mkdir()
        (home / "job").mkdir()
        shutil.copy(wheel, home / "checkout" / "dist")
        # the versions that the machines have: there's no internet here to fetch others from
        pins = {f"{d.name}=={d.version}\n" for d in distributions() if d.name != PACKAGE}
        (home / "checkout" / "constraints.txt").write_text("".join(sorted(pins)))
        shutil.copy(self.room.key, home / "key")
        config = yaml.safe_load((ROOT / "cluster" / "onprem.yaml").read_text())
        # only the values that its comments ask a user to change
        config["provider"]["head_ip"] = self.head.address
        config["provider"]["worker_ips"] = [worker.address for worker in self.workers]
        config["auth"] = {"ssh_user": "root", "ssh_private_key": "~/key"}
        file = home / "checkout" / "cluster" / "onprem.yaml"
        file.write_text(yaml.safe_dump(config, sort_keys=False))
        self.on_laptop("ray get-auth-token --generate > ~/token.txt")

    def on_laptop(self, command: str, timeout_s: float = JOB_S) -> str:
        """The output of a command on the laptop, in the checkout and the Python environment."""
        return self.laptop.ask(ACTIVATED + command, timeout_s)

    def up(self) -> None:
        """`ray up`, until all hosts have joined."""
        self.on_laptop("RAY_UP_enable_autoscaler_v2=0 ray up -y cluster/onprem.yaml", UP_S)
        self.join(self.workers)

    def join(self, workers: Sequence[Machine]) -> None:
        """Wait until these workers are in the cluster.

        A raylet has 30 s to start, which isn't enough where many start on few cores, and the
        autoscaler doesn't try again: such hosts are started by hand, as a user would.
        """
        deadline = time.monotonic() + UP_S
        while missing := self._missing(workers, PATIENCE_S):
            names = [worker.name for worker in missing]
            assert time.monotonic() < deadline, f"{names} don't join the cluster"
            print(f"{names} are started by hand")
            for worker in missing:
                worker.run(f"export RAY_HEAD_IP={self.head.address}; {self._start()}", UP_S)

    def _missing(self, workers: Sequence[Machine], within_s: float) -> list[Machine]:
        """The workers that haven't joined after `within_s` seconds."""
        deadline = time.monotonic() + within_s
        while missing := [w for w in workers if w.address not in self.alive()]:
            if time.monotonic() > deadline:
                break
            time.sleep(1.0)
        return missing

    def _start(self) -> str:
        """The command that starts Ray on a worker."""
        config = yaml.safe_load((ROOT / "cluster" / "onprem.yaml").read_text())
        return "; ".join(config["worker_start_ray_commands"])

    def open_tunnel(self) -> None:
        """Port 8265 of the laptop leads to the head's dashboard, until its cable is cut."""
        if self._tunnel is not None and self._tunnel.poll() is None:
            return
        command = "exec ray dashboard cluster/onprem.yaml"
        self._tunnel = self.laptop.start(ACTIVATED + command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_S
        while self.laptop.run("exec 2> /dev/null 3<>/dev/tcp/127.0.0.1/8265").returncode:
            assert self._tunnel.poll() is None, "the tunnel doesn't open"
            assert time.monotonic() < deadline, "no tunnel"
            time.sleep(0.5)

    def close_laptop(self) -> None:
        """Cut the laptop's cable and end its tunnel."""
        self.laptop.cut()
        if self._tunnel is not None:
            self._tunnel.kill()
            self._tunnel.wait()

    def dashboard(self, path: str) -> Any:
        """The answer of the dashboard's REST interface to a request from the head."""
        return json.loads(
            self.head.ask(f"~/sequence-tutor/bin/python -c '{ASK.format(url=DASHBOARD + path)}'")
        )

    def alive(self) -> set[str]:
        """Addresses of the hosts that Ray counts as alive."""
        nodes = self.dashboard("/api/v0/nodes")["data"]["result"]["result"]
        return {node["node_ip"] for node in nodes if node["state"] == "ALIVE"}

    def submit(self, entrypoint: str, *options: str) -> str:
        """`ray job submit --no-wait` from ~/job; the submission id."""
        self.open_tunnel()
        text = self.on_laptop(
            f"cd ~/job && ray job submit --address {DASHBOARD} --no-wait --working-dir . "
            f"{' '.join(options)} -- {entrypoint}"
        )
        return text.split("Job '")[1].split("'")[0]

    def job(self, command: str, job: str) -> subprocess.CompletedProcess[str]:
        """`ray job COMMAND JOB`, whatever its exit code."""
        self.open_tunnel()
        line = f"ray job {command} --address {DASHBOARD} {job}"
        return self.laptop.run(ACTIVATED + line, JOB_S)

    def status(self, job: str) -> str:
        """PENDING, RUNNING, SUCCEEDED, STOPPED or FAILED."""
        status: str = self.dashboard(f"/api/jobs/{job}")["status"]
        return status

    def ended(self, job: str, timeout_s: float = JOB_S) -> str:
        """Wait for a job's end; returns its status."""
        deadline = time.monotonic() + timeout_s
        while (status := self.status(job)) not in ENDED:
            said = "" if time.monotonic() < deadline else self.dashboard(f"/api/jobs/{job}/logs")
            assert not said, f"{status} after {timeout_s:g} s: {said}"
            time.sleep(1.0)
        return status

    def logs(self, job: str) -> str:
        return self.job("logs", job).stdout

    def give(self, files: dict[str, str | Path], machines: Sequence[Machine] = ()) -> None:
        """Put files or directories, by their names in ~/job, on the laptop or on other machines."""
        for machine in machines or [self.laptop]:
            folder = machine.on_disk("/root") / "job"
            folder.mkdir(exist_ok=True)
            for name, content in files.items():
                if isinstance(content, Path):
                    shutil.copytree(content, folder / name, dirs_exist_ok=True)
                else:
                    (folder / name).write_text(content)

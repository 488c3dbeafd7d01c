"""A cluster as a user has it: `ray up cluster/onprem.yaml` from a laptop, jobs through a tunnel.

Laptop, head and workers are pretend machines. The laptop holds a checkout as far as `ray up` needs
it and a directory for jobs, ~/job; everything goes by the commands that docs/jobs.md tells.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import yaml
from machines import Machine, Room

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ("distributed", "policies", "rewards", "pyproject.toml", "README.md", "LICENSE")
ACTIVATED = "cd ~/checkout && . ~/sequence-tutor/bin/activate && export RAY_AUTH_MODE=token && "
DASHBOARD = "http://127.0.0.1:8265"
UP_S, JOB_S = 300.0, 300.0
ENDED = ("SUCCEEDED", "STOPPED", "FAILED")


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
        shutil.copy(ROOT / "constraints.txt", home / "checkout")
        shutil.copy(self.room.key, home / "key")
        config = yaml.safe_load((ROOT / "cluster" / "onprem.yaml").read_text())
        # what its comments tell a user to change, and nothing else
        config["provider"]["head_ip"] = self.head.address
        config["provider"]["worker_ips"] = [worker.address for worker in self.workers]
        config["auth"] = {"ssh_user": "root", "ssh_private_key": "~/key"}
        file = home / "checkout" / "cluster" / "onprem.yaml"
        file.write_text(yaml.safe_dump(config, sort_keys=False))
        self.on_laptop("ray get-auth-token --generate > ~/token.txt")

    def on_laptop(self, command: str, timeout_s: float = 60.0) -> str:
        """What a command prints on the laptop, in the checkout and the Python environment."""
        return self.laptop.ask(ACTIVATED + command, timeout_s)

    def up(self, *, expected: int | None = None) -> None:
        """`ray up`, and wait until `expected` hosts (by default all) have joined."""
        self.on_laptop("RAY_UP_enable_autoscaler_v2=0 ray up -y cluster/onprem.yaml", UP_S)
        self.wait_for_hosts(len(self.hosts) if expected is None else expected)

    def down(self) -> None:
        self.on_laptop("ray down -y cluster/onprem.yaml", UP_S)

    def tunnel(self) -> subprocess.Popen[str]:
        """Port 8265 of the laptop leads to the head's dashboard from now on."""
        process = self.laptop.start(ACTIVATED + "exec ray dashboard cluster/onprem.yaml")
        deadline = time.monotonic() + 60
        while self.laptop.run("exec 3<>/dev/tcp/127.0.0.1/8265").returncode:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, "no tunnel"
            time.sleep(0.2)
        return process

    def alive(self) -> dict[str, str]:
        """Addresses of the hosts that Ray counts as alive, and their node ids."""
        code = (
            "import ray, json, logging; ray.init(address='auto', logging_level=logging.ERROR);"
            "print('NODES', json.dumps({n['NodeManagerAddress']: n['NodeID'] for n in ray.nodes()"
            " if n['Alive']}))"
        )
        done = self.on_head(f'python -c "{code}"')
        line = next(line for line in done.splitlines() if line.startswith("NODES "))
        found: dict[str, str] = json.loads(line.removeprefix("NODES "))
        return found

    def on_head(self, command: str, timeout_s: float = 60.0) -> str:
        """What a command prints on the head, where Ray's own tools work."""
        activate = ". ~/sequence-tutor/bin/activate && export RAY_AUTH_MODE=token && "
        return self.head.ask(activate + command, timeout_s)

    def wait_for_hosts(self, number: int, timeout_s: float = UP_S) -> None:
        deadline = time.monotonic() + timeout_s
        while (found := len(self.alive())) < number:
            assert time.monotonic() < deadline, f"{found} of {number} hosts are in the cluster"
            time.sleep(1.0)

    def submit(self, entrypoint: str, *options: str) -> str:
        """`ray job submit --no-wait` from ~/job; the submission id."""
        text = self.on_laptop(
            f"cd ~/job && ray job submit --address {DASHBOARD} --no-wait --working-dir . "
            f"{' '.join(options)} -- {entrypoint}"
        )
        return text.split("Job '")[1].split("'")[0]

    def job(self, command: str, job: str) -> subprocess.CompletedProcess[str]:
        """`ray job COMMAND JOB`, whatever its exit code."""
        line = f"ray job {command} --address {DASHBOARD} {job}"
        return self.laptop.run(ACTIVATED + line, JOB_S)

    def status(self, job: str) -> str:
        """PENDING, RUNNING, SUCCEEDED, STOPPED or FAILED."""
        text = self.job("status", job).stdout
        found = [word for word in ("PENDING", "RUNNING", *ENDED) if word in text.upper()]
        assert len(found) == 1, text
        return found[0]

    def ended(self, job: str, timeout_s: float = JOB_S) -> str:
        """How a job ended; waits for it."""
        deadline = time.monotonic() + timeout_s
        while (status := self.status(job)) not in ENDED:
            assert time.monotonic() < deadline, f"{status} after {timeout_s} s:\n{self.logs(job)}"
            time.sleep(1.0)
        return status

    def logs(self, job: str) -> str:
        return self.job("logs", job).stdout

    def give(self, files: dict[str, str | Path], machines: Sequence[Machine] = ()) -> None:
        """Put files or directories, by their names in ~/job, on the laptop or on other machines."""
        for machine in machines or [self.laptop]:
            folder = machine.on_disk("/root/job")
            folder.mkdir(exist_ok=True)
            for name, content in files.items():
                if isinstance(content, Path):
                    shutil.copytree(content, folder / name, dirs_exist_ok=True)
                else:
                    (folder / name).write_text(content)

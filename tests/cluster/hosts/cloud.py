"""A pretend EC2: moto's server keeps what was launched, and each running instance gets a body.

    laptop ── ray up ──► moto server ◄── describe_instances ── Bodies ──► pretend machines
                              ▲                                              │ head: autoscaler
                              └──────────────── RunInstances ────────────────┘

A body is a machine of a room, on the private address that the mock gave its instance, with the
instance's key. A terminated instance's body is switched off at once, as a spot machine's is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from machines import Machine, Room

PORT = 5555
POLL_S = 0.5
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "AWS_DEFAULT_REGION": "us-west-2",
}


class Cloud:
    """EC2 for the machines of a room, whose network must contain the addresses that moto gives."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.url = f"http://{room.gateway}:{PORT}"
        self.environment = CREDENTIALS | {"AWS_ENDPOINT_URL": self.url}
        self.bodies: dict[str, Machine] = {}
        self.ec2: Any = boto3.client(
            "ec2",
            endpoint_url=self.url,
            region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )
        self._closing = threading.Event()
        self._failure: BaseException | None = None
        self._server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", room.gateway, "-p", str(PORT)],
            env=os.environ | CREDENTIALS,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._thread = threading.Thread(target=self._look_after_bodies, name="bodies")

    def introduce(self, machine: Machine) -> None:
        """Point every later shell of a machine to this cloud."""
        exports = "".join(f"export {k}={v}\n" for k, v in self.environment.items())
        (machine.on_disk("/root") / ".bashrc").write_text(exports)

    def instances(self, *states: str) -> dict[str, dict[str, Any]]:
        """Instances by id, of these states; by default those that cost money."""
        wanted = [{"Name": "instance-state-name", "Values": states or ("pending", "running")}]
        found = self.ec2.describe_instances(Filters=wanted)["Reservations"]
        return {i["InstanceId"]: i for part in found for i in part["Instances"]}

    def kinds(self) -> list[str]:
        """The node types, as config.yaml names them, of the instances that cost money."""
        tags = [{t["Key"]: t["Value"] for t in i["Tags"]} for i in self.instances().values()]
        return sorted(t["ray-user-node-type"] for t in tags)

    def wait_for(self, spots: int, timeout_s: float) -> float:
        """Wait until the head and `spots` spot machines are all there is and have bodies; returns
        the seconds waited."""
        start = time.monotonic()
        while len(self.bodies) != 1 + spots or len(self.kinds()) != 1 + spots:
            if self._failure:
                raise self._failure
            timed_out = time.monotonic() - start > timeout_s
            assert not timed_out, f"{self.kinds()} after {timeout_s} s"
            time.sleep(POLL_S)
        assert sum(kind.startswith("spot") for kind in self.kinds()) == spots
        return time.monotonic() - start

    def take_back_one(self) -> str:
        """End a spot instance as AWS does after an ignored warning; returns its id."""
        spots = [i for i, it in self.instances().items() if it.get("InstanceLifecycle") == "spot"]
        self.ec2.terminate_instances(InstanceIds=spots[:1])
        return spots[0]

    def open(self) -> None:
        """Wait until the server answers, then give instances their bodies."""
        deadline = time.monotonic() + 60
        while True:
            try:
                self.ec2.describe_regions()
                break
            except Exception:
                assert self._server.poll() is None and time.monotonic() < deadline, "no moto server"
                time.sleep(0.2)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        self._server.terminate()
        self._server.wait()

    def _look_after_bodies(self) -> None:
        try:
            while not self._closing.wait(POLL_S):
                running = self.instances("running")
                for name in self.bodies.keys() - running.keys():
                    self.room.remove(self.bodies.pop(name))
                for name in running.keys() - self.bodies.keys():
                    self.bodies[name] = self._body(running[name])
        except BaseException as error:  # the test's thread raises it
            self._failure = error

    def _body(self, instance: dict[str, Any]) -> Machine:
        (pair,) = self.ec2.describe_key_pairs(
            KeyNames=[instance["KeyName"]], IncludePublicKey=True
        )["KeyPairs"]
        machine = self.room.machine(
            instance["InstanceId"][-6:], instance["PrivateIpAddress"], [pair["PublicKey"]]
        )
        machine.power_on()
        self.introduce(machine)  # what an instance profile does
        return machine


@contextmanager
def cloud(room: Room) -> Iterator[Cloud]:
    """A cloud that is closed at the end."""
    opened = Cloud(room)
    try:
        opened.open()
        yield opened
    finally:
        opened.close()

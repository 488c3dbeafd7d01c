"""Pretend machines on this one, for tests that need real hosts: `ray up` by ssh, a cut cable, a
power failure.

A machine is a set of Linux namespaces (network, processes, mounts, hostname, shared memory) with an
address on a bridge, an sshd, and the root file system of this machine under a layer of its own: its
home and /tmp begin empty, and no other machine sees its writes. The Python environment that
runs this is there as well, writable in the same way; `~/sequence-tutor` leads to it, as on a node
whose image was made with the package's dependencies. /mnt/shared is one directory on all machines
of a room, as NFS would make it.

Needs root and, once, Debian packages (sshd, rsync), which are unpacked and not installed.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

BOOT = Path(__file__).with_name("boot.sh")
TOOLS = ("apt-get", "chroot", "dpkg", "ip", "mount", "nsenter", "ssh", "ssh-keygen", "unshare")
PACKAGES = ("openssh-server", "rsync")
# Directories that begin empty on each machine, with their modes.
OWN = {"/home": 0o755, "/root": 0o700, "/tmp": 0o1777, "/var/tmp": 0o1777}
SSHD = """
ListenAddress {address}
HostKey {key}
PidFile /run/sshd.pid
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
AuthorizedKeysFile /etc/ssh/machine_keys
MaxStartups 100
MaxSessions 100
Subsystem sftp internal-sftp
"""
# Most seconds for a machine to boot, and for a command on it.
POWER_ON_S, PATIENCE_S = 20.0, 120.0


class Unavailable(RuntimeError):
    """Pretend machines can't be made here; the message says why."""


def _run(*command: object) -> str:
    """The command's standard output. Raises Unavailable with its standard error if it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


def _quietly(*command: object) -> None:
    """Run a command whose failure doesn't matter."""
    subprocess.run([str(part) for part in command], capture_output=True)


def _check() -> None:
    """Raises Unavailable if this machine lacks a requirement of all pretend machines."""
    if os.geteuid() != 0:
        raise Unavailable("pretend machines need root")
    if absent := [tool for tool in TOOLS if shutil.which(tool) is None]:
        raise Unavailable(f"pretend machines need {', '.join(absent)}")
    if sys.prefix == sys.base_prefix:
        raise Unavailable("pretend machines share a Python environment: run this from a venv")
    _run("unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--fork", "true")


class Machine:
    """One machine of a room: a name, an address, a disk. Made by `Room.machine`."""

    def __init__(self, room: Room, name: str, address: str, keys: Sequence[str]) -> None:
        self.room, self.name, self.address, self.keys = room, name, address, list(keys)
        self.disk = room.directory / "disks" / name
        self._outlet = f"{room.bridge}-{name}"[-15:]  # the bridge's end of the cable
        self._process: subprocess.Popen[bytes] | None = None

    def power_on(self) -> None:
        """Boot, from the disk as it is. Returns when sshd answers; raises Unavailable."""
        if not self.disk.exists():
            self._format()
        self._lay_cable()
        namespaces = ("--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child=KILL")
        boot = (BOOT, self.disk, self.name, self.room.programs, self.room.shared, *_python())
        with open(self.disk / "boot.log", "wb") as log:
            self._process = subprocess.Popen(
                ["ip", "netns", "exec", self._space, "unshare", *namespaces, *map(str, boot)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the test, not for the machine
            )
        deadline = time.monotonic() + POWER_ON_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = (self.disk / "boot.log").read_text().strip()
                self.power_off()
                raise Unavailable(f"{self.name} doesn't boot: {said}")
            time.sleep(0.05)

    def power_off(self) -> None:
        """As a power failure: all its processes are killed at once. The disk stays."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
        if self._space in _run("ip", "netns", "list").split():
            _quietly("ip", "link", "delete", self._outlet)
            while _run("ip", "netns", "pids", self._space):
                time.sleep(0.02)
            _run("ip", "netns", "delete", self._space)

    def wipe(self) -> None:
        """Give it an empty disk; it must be off."""
        assert self._process is None, f"{self.name} is on"
        shutil.rmtree(self.disk, ignore_errors=True)

    def cut(self) -> None:
        """Pull its network cable: packets don't arrive, and no process is notified."""
        _run("ip", "link", "set", self._outlet, "down")

    def plug(self) -> None:
        """Put the cable back."""
        _run("ip", "link", "set", self._outlet, "up")

    def start(self, command: str, **options: object) -> subprocess.Popen[str]:
        """A shell command on it through ssh; `options` are Popen's."""
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True} | options
        return subprocess.Popen([*self.room.ssh, f"root@{self.address}", command], **given)

    def run(self, command: str, timeout_s: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
        """A shell command on it through ssh, waited for; standard error is in `stdout`."""
        process = self.start(command, stdin=subprocess.DEVNULL)
        try:
            out, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
            raise TimeoutError(f"{self.name}: {command} takes over {timeout_s} s:\n{out}") from None
        return subprocess.CompletedProcess(command, process.returncode, out, "")

    def ask(self, command: str, timeout_s: float = PATIENCE_S) -> str:
        """The output of a command; raises AssertionError with the output if it fails."""
        done = self.run(command, timeout_s)
        assert done.returncode == 0, f"{self.name}: {command}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def on_disk(self, path: str) -> Path:
        """The path outside the machine of a file in its home or temporary directory."""
        return self.disk / "layer" / path.lstrip("/")

    @property
    def _space(self) -> str:
        return f"{self.room.bridge}-{self.name}"

    def _answers(self) -> bool:
        try:
            socket.create_connection((self.address, 22), timeout=1.0).close()
        except OSError:
            return False
        return True

    def _format(self) -> None:
        """A disk on which homes and temporary directories are empty."""
        for name in ("layer", "work", "root"):
            (self.disk / name).mkdir(parents=True)
        for path, mode in OWN.items():
            own = self.on_disk(path)
            own.mkdir(parents=True)
            own.chmod(mode)
            os.setxattr(own, "trusted.overlay.opaque", b"y")
        (self.on_disk("/root") / ".profile").write_text(". ~/.bashrc\n")
        (self.on_disk("/root") / ".bashrc").touch()
        (self.on_disk("/root") / "sequence-tutor").symlink_to(sys.prefix)
        etc = self.on_disk("/etc/ssh")
        etc.mkdir(parents=True)
        shutil.copy(self.room.directory / "host_key", etc / "machine_host_key")
        (etc / "machine_host_key").chmod(0o600)
        settings = SSHD.format(address=self.address, key="/etc/ssh/machine_host_key")
        (etc / "machine_sshd_config").write_text(settings)
        (etc / "machine_keys").write_text("\n".join([self.room.public_key, *self.keys]) + "\n")
        accounts = Path("/etc/passwd").read_text()
        if "\nsshd:" not in accounts:
            accounts += "sshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n"
        (etc.parent / "passwd").write_text(accounts)
        (etc.parent / "hosts").write_text(f"127.0.0.1 localhost\n{self.address} {self.name}\n")
        (etc.parent / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")

    def _lay_cable(self) -> None:
        space = self._space
        _run("ip", "netns", "add", space)
        # the same card address after each boot, as other machines cache it
        card = "02:00:" + ":".join(f"{byte:02x}" for byte in IPv4Address(self.address).packed)
        cable = ("type", "veth", "peer", "name", "eth0", "address", card, "netns", space)
        _run("ip", "link", "add", self._outlet, *cable)
        _run("ip", "link", "set", self._outlet, "master", self.room.bridge, "up")
        prefix = self.room.network.prefixlen
        _run("ip", "-n", space, "address", "add", f"{self.address}/{prefix}", "dev", "eth0")
        for device in ("lo", "eth0"):
            _run("ip", "-n", space, "link", "set", device, "up")
        # without a default route Ray may not find which address is its own
        _run("ip", "-n", space, "route", "add", "default", "via", self.room.gateway)


def _python() -> list[str]:
    """Directories of this Python that machines wouldn't see, since they're in an empty one."""
    found = [Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()]
    return [str(p) for p in dict.fromkeys(found) if any(p.is_relative_to(own) for own in OWN)]


class Room:
    """Machines on one bridge. `directory` is made; disks, keys and /mnt/shared are in memory there
    (a layer can't lie on the file system that it covers). `place` is the bridge's name (at most 8
    letters) and its network, by default a pair that is free. Raises Unavailable."""

    def __init__(self, directory: Path, place: tuple[str, str] | None = None) -> None:
        _check()
        self.directory, self.bridge = directory.resolve(), ""
        self.machines: dict[str, Machine] = {}
        self.directory.mkdir(parents=True)
        _run("mount", "-t", "tmpfs", "tmpfs", self.directory)
        try:
            self.programs, self.shared = self.directory / "programs", self.directory / "shared"
            self.programs.mkdir()
            self.shared.mkdir()
            self.key = self.directory / "key"
            for key in (self.key, self.directory / "host_key"):
                _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
            self.public_key = self.key.with_suffix(".pub").read_text().strip()
            self._unpack_programs()
            free = [(f"tutor{n}", f"10.78.{n}.0/24") for n in range(100)]
            self._lay_bridge([place] if place else free)
        except BaseException:
            self.close()
            raise

    @property
    def ssh(self) -> list[str]:
        """The ssh command, up to the host."""
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "5",
            "LogLevel": "ERROR",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
        }
        return ["ssh", "-i", str(self.key), *(f"-o{k}={v}" for k, v in options.items())]

    def machine(self, name: str, address: str | None = None, keys: Sequence[str] = ()) -> Machine:
        """A machine, still off. Its address is by default the next free one; `keys` are public ssh
        keys that may log in, beside the room's own."""
        if address is None:
            address = str(self.network[11 + len(self.machines)])
        assert IPv4Address(address) in self.network and name not in self.machines
        self.machines[name] = Machine(self, name, address, keys)
        return self.machines[name]

    def remove(self, machine: Machine) -> None:
        """Switch a machine off and delete its disk."""
        machine.power_off()
        machine.wipe()
        del self.machines[machine.name]

    def close(self) -> None:
        """Switch all machines off and delete the room."""
        for machine in self.machines.values():
            machine.power_off()
        if self.bridge:
            _quietly("ip", "link", "delete", self.bridge)
        _quietly("umount", "--lazy", self.directory)
        self.directory.rmdir()

    def _lay_bridge(self, places: list[tuple[str, str]]) -> None:
        """The first of these bridges that isn't there yet, with its network."""
        for number, (bridge, network) in enumerate(places, 1):
            try:
                _run("ip", "link", "add", bridge, "type", "bridge")
            except Unavailable:  # another room's
                if number == len(places):
                    raise
            else:
                self.bridge, self.network = bridge, IPv4Network(network)
                break
        self.gateway = str(self.network[1])
        _run("ip", "address", "add", f"{self.gateway}/{self.network.prefixlen}", "dev", bridge)
        _run("ip", "link", "set", bridge, "up")

    def _unpack_programs(self) -> None:
        """sshd and rsync with the libraries that this machine lacks, in a directory."""
        archives = self.directory / "archives"
        (archives / "partial").mkdir(parents=True)
        options = ("-qq", "-o", f"Dir::Cache::archives={archives}", "-o", "Debug::NoLocking=1")
        fetch = ("install", "--yes", "--download-only", "--no-install-recommends", *PACKAGES)
        try:
            _run("apt-get", *options, *fetch)
        except Unavailable:  # no lists yet, or old ones
            _run("apt-get", "-qq", "update")
            _run("apt-get", *options, *fetch)
        for archive in archives.glob("*.deb"):
            _run("dpkg", "-x", archive, self.programs)
        # /lib is a link to /usr/lib; a directory of that name would hide it
        for name in ("bin", "lib", "sbin"):
            if (self.programs / name).is_dir() and Path("/", name).is_symlink():
                merged = self.programs / "usr" / name
                shutil.copytree(self.programs / name, merged, symlinks=True, dirs_exist_ok=True)
                shutil.rmtree(self.programs / name)


@contextmanager
def room(directory: Path, *place: str) -> Iterator[Room]:
    """A room that is closed at the end; see Room: `room(directory)`, or with a bridge's name and
    a network."""
    opened = Room(directory, (place[0], place[1]) if place else None)
    try:
        yield opened
    finally:
        opened.close()

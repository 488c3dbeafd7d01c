"""Pretend machines have addresses, disks, cables and power of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from machines import Machine, Room


@pytest.fixture(scope="module")
def two(machine_room: Room) -> Iterator[tuple[Machine, Machine]]:
    one, other = machine_room.machine("one"), machine_room.machine("other")
    for machine in (one, other):
        machine.power_on()
    yield one, other


@pytest.mark.nightly
def test_each_machine_has_its_own_name_address_and_disk(two: tuple[Machine, Machine]):
    for machine in two:
        assert machine.ask("hostname").strip() == machine.name
        assert machine.address in machine.ask("ip -4 address show eth0")
        machine.ask("echo mine > /tmp/mark; echo mine > ~/mark; echo mine > /etc/mark")
    one, other = two
    one.ask("echo changed > /tmp/mark; rm ~/mark /etc/mark; echo seen > /mnt/shared/mark")
    assert other.ask("cat /tmp/mark ~/mark /etc/mark").split() == ["mine"] * 3
    assert other.ask("cat /mnt/shared/mark").strip() == "seen"  # except for the fake NFS
    assert one.ask("ps -e | grep -c sshd").strip() != "0" and "python" not in one.ask("ps -e")


@pytest.mark.nightly
def test_each_machine_has_its_own_python_environment(two: tuple[Machine, Machine]):
    one, other = two
    site = one.ask(
        "~/sequence-tutor/bin/python -c 'import numpy; print(numpy.__file__)'"
    ).rpartition("/numpy/")[0]
    one.ask(f"touch {site}/only_here.py")
    assert other.run(f"ls {site}/only_here.py").returncode != 0


@pytest.mark.nightly
def test_a_cut_cable_drops_connections(two: tuple[Machine, Machine]):
    one, other = two
    reach = f"timeout 3 bash -c 'exec 3<>/dev/tcp/{other.address}/22'"
    assert one.run(reach).returncode == 0
    other.cut()
    assert one.run(reach).returncode != 0
    other.plug()
    assert one.run(reach).returncode == 0


@pytest.mark.nightly
def test_a_power_failure_ends_processes_and_keeps_the_disk(two: tuple[Machine, Machine]):
    one, _ = two
    one.ask("echo kept > /var/tmp/kept; nohup sleep 12345 > /dev/null 2>&1 & disown")
    assert "sleep 12345" in one.ask("ps -e -o args")
    one.power_off()
    assert one.run("true").returncode == 255
    one.power_on()
    assert "sleep 12345" not in one.ask("ps -e -o args")
    assert one.ask("cat /var/tmp/kept").strip() == "kept"
    one.power_off()
    one.wipe()
    one.power_on()
    assert one.run("cat /var/tmp/kept").returncode != 0

"""Pretend machines for tests, and a cluster of them: see hosts/."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent / "hosts"))

from machines import Room, Unavailable, room  # noqa: E402
from onprem import OnPrem, build_wheel  # noqa: E402


@pytest.fixture(scope="module")
def machine_room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """A room without machines; skips with the reason where none can be made."""
    try:
        opened = room(tmp_path_factory.mktemp("machines") / "room")
        with opened as found:
            yield found
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's wheel."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def make_cluster(machine_room: Room, wheel: Path) -> Callable[[int], OnPrem]:
    """Makes clusters of a laptop, a head and `workers` workers, switched on."""

    def make(workers: int) -> OnPrem:
        try:
            return OnPrem(machine_room, wheel, workers)
        except Unavailable as error:  # a machine doesn't boot here
            pytest.skip(str(error))

    return make

"""The unit tier: no Ray and no other machines. It runs also where Ray isn't installed."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `import ray` fail, also if other tests of this process have loaded it."""
    monkeypatch.setitem(sys.modules, "ray", None)

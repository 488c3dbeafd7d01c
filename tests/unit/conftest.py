"""The unit tier: neither Ray nor other machines. It runs where Ray isn't installed."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """`import ray` fails, also where other tests of this process have loaded it."""
    monkeypatch.setitem(sys.modules, "ray", None)

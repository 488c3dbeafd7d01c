"""The programs of the extra `docking`, imported when they are first needed."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from rdkit import rdBase


@cache
def vina() -> Any:
    """AutoDock Vina's package."""
    return import_module("vina")


@cache
def dimorphite_dl() -> Any:
    """dimorphite-dl's package."""
    return import_module("dimorphite_dl")


@cache
def meeko() -> Any:
    """meeko's package, which takes seconds to import."""
    found = import_module("meeko")
    rdBase.LogToCppStreams()  # the import sends RDKit's messages elsewhere
    return found

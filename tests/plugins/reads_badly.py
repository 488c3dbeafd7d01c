"""Importing this module makes some molecules crash or hang the process that reads them."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from sequence_tutor.rewards.molecules import identity

HANGS, CRASHES, HOARDS = "CCCCCCF", "CCCCCCCl", "CCCCCCBr"
_read = identity.read


def read(smiles: str) -> tuple[Any, str]:
    if smiles == HANGS:
        while True:
            time.perf_counter()
    if smiles == CRASHES:
        os.kill(os.getpid(), signal.SIGSEGV)
    if smiles == HOARDS:
        bytearray(1 << 40)
    return _read(smiles)


identity.read = read


def value(smiles: str) -> float:
    if file := os.environ.get("BAD_REWARDS_NOTES"):
        with open(file, "a") as notes:
            notes.write(f"{smiles}\n")
    return float(len(smiles))

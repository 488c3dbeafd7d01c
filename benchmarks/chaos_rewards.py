"""Rewards for chaos.py: a slow one, and one with a fault that depends on the molecule.

Each call is counted in a file outside the system, named by COUNTER: "start TIME KEY" before the
work, "done TIME KEY" after it, each one atomic append.
"""

from __future__ import annotations

import ctypes
import os
import time
from hashlib import blake2b

from rdkit import Chem
from rdkit.Chem import Descriptors

COUNTER = "CHAOS_COUNTER"
# One molecule in a hundred has each of these; the others are good.
FAULTS = ("nan", "raise", "segfault", "exit", "memory", "sleep", "print")
# The status that the record must have for each; printing isn't a fault.
STATUS = {
    "nan": "failed",
    "raise": "failed",
    "segfault": "crashed",
    "exit": "crashed",
    "memory": "crashed",
    "sleep": "timeout",
    "print": "ok",
}


def fault_of(smiles: str) -> str | None:
    """The fault of this molecule's reward, the same for every spelling; None if it has none."""
    number = int.from_bytes(blake2b(key_of(smiles).encode(), digest_size=8).digest(), "little")
    return FAULTS[number % 100] if number % 100 < len(FAULTS) else None


def key_of(smiles: str) -> str:
    """The canonical form."""
    return str(Chem.MolToSmiles(Chem.MolFromSmiles(smiles)))


def dear(smiles: str) -> float:
    """All of RDKit's descriptors: about ten milliseconds of work."""
    key = key_of(smiles)
    _count("start", key)
    value = _work(smiles)
    _count("done", key)
    return value


def bad(smiles: str) -> float:
    """As `dear`, except for molecules with a fault."""
    key, fault = key_of(smiles), fault_of(smiles)
    _count("start", key)
    value = _work(smiles)
    if fault == "nan":
        value = float("nan")
    elif fault == "raise":
        raise RuntimeError("this molecule isn't liked")
    elif fault == "segfault":
        ctypes.string_at(0)
    elif fault == "exit":
        os._exit(3)
    elif fault == "memory":
        hoard = [bytearray(1 << 26) for _ in range(1 << 10)]
        value = float(len(hoard))
    elif fault == "sleep":
        time.sleep(10**6)
    elif fault == "print":
        for _ in range(50):
            print("x" * 100_000, flush=True)
    _count("done", key)
    return value


def _work(smiles: str) -> float:
    return float(Descriptors.CalcMolDescriptors(Chem.MolFromSmiles(smiles))["qed"])


def _count(what: str, key: str) -> None:
    line = f"{what} {time.time():.6f} {key}\n".encode()
    descriptor = os.open(os.environ[COUNTER], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, line)
    os.close(descriptor)

"""Rewards that count their calls in a file outside the system, named by COUNTER."""

import os
import time
from pathlib import Path


def called(smiles: str) -> None:
    """Each call is one line of the file."""
    descriptor = os.open(os.environ["COUNTER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{smiles}\n".encode())
    os.close(descriptor)


def counted(smiles: str) -> float:
    """The number of carbons, after 10 ms."""
    called(smiles)
    time.sleep(0.01)
    if smiles.startswith("NN"):
        raise RuntimeError("two nitrogens at once")
    return float(smiles.upper().count("C"))


def slow(smiles: str) -> float:
    """As `counted`, after half a second."""
    time.sleep(0.5)
    return counted(smiles)


def mended(smiles: str) -> float:
    """The number of carbons, once the file MENDED exists: for every molecule if its text is "all",
    else for those without nitrogen."""
    called(smiles)
    works = Path(os.environ["MENDED"])
    if not works.exists():
        raise RuntimeError("no licence")
    if "N" in smiles and works.read_text() != "all":
        raise RuntimeError("no parameters for nitrogen")
    return float(smiles.upper().count("C"))

"""Rewards that count their calls in a file outside the system, named by COUNTER."""

import os
import time


def counted(smiles: str) -> float:
    """How many carbons, after a while; each call is one line of the file."""
    descriptor = os.open(os.environ["COUNTER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{smiles}\n".encode())
    os.close(descriptor)
    time.sleep(0.01)
    if smiles.startswith("NN"):
        raise RuntimeError("two nitrogens at once")
    return float(smiles.upper().count("C"))


def slow(smiles: str) -> float:
    """The same, for half a second."""
    time.sleep(0.5)
    return counted(smiles)

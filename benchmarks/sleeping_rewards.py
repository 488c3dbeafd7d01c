"""Rewards that cost time and no CPU, like one that calls another machine."""

import os
import time


def for_1_ms(smiles: str) -> float:
    time.sleep(0.001)
    return float(len(smiles))


def for_100_ms(smiles: str) -> float:
    time.sleep(0.1)
    return float(len(smiles))


def for_10000_ms(smiles: str) -> float:
    time.sleep(10)
    return float(len(smiles))


def counted(smiles: str) -> float:
    """The length, at once; each call is a line of the file that CALLS names."""
    descriptor = os.open(os.environ["CALLS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{smiles}\n".encode())
    os.close(descriptor)
    return float(len(smiles))

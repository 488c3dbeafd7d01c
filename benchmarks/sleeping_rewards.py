"""Rewards that cost time and no CPU, like one that calls another machine."""

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

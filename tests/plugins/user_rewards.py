"""Rewards as a user would write them: found by import path, not always well behaved."""


def carbons(smiles: str) -> float:
    """How many carbons."""
    return float(smiles.upper().count("C"))


def dislikes_nitrogen(smiles: str) -> float:
    """As `carbons`, but can't cope with nitrogen."""
    if "N" in smiles:
        raise RuntimeError(f"no parameters for N in {smiles}")
    return carbons(smiles)

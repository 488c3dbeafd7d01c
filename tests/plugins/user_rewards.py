"""Rewards as a user would write them: found by import path, one with failures."""

from sequence_tutor.rewards.attachments import keep


def carbons(smiles: str) -> float:
    """The number of carbons."""
    return float(smiles.upper().count("C"))


def dislikes_nitrogen(smiles: str) -> float:
    """As `carbons`, but raises for nitrogen; keeps a file for each molecule, before it fails."""
    keep("notes", ".txt", smiles.encode())
    if "N" in smiles:
        raise RuntimeError(f"no parameters for N in {smiles}")
    return carbons(smiles)

"""What a person likes in molecules, as a component: their properties, weighed by the person's
marks."""

from __future__ import annotations

import numpy as np

from sequence_tutor.rewards.molecules.depict import properties_of
from sequence_tutor.rewards.molecules.molecule import Molecule, parse, quiet
from sequence_tutor.rewards.preference import Preferences, pin_marks
from sequence_tutor.rewards.registry import component


def _measure(smiles: str) -> list[float] | None:
    with quiet():
        mol = parse(smiles)
        return None if mol is None else properties_of(Molecule(smiles, mol))


PREFERENCES = Preferences(_measure, "molecule")


@component(
    "preference",
    domain="molecules",
    check=PREFERENCES.check,
    pin=pin_marks,
    reference="Bradley and Terry 1952, https://doi.org/10.2307/2334029",
    example='file = "ratings.csv"',
)
def preference(
    molecule: Molecule, *, file: str | list[str], sha256: str | list[str] | None = None
) -> float:
    """How much you would like it, learned from your marks (`sequence-tutor rate`): log odds
    that you prefer it to the mean of those that you rated.

    A Bradley-Terry model of weight, log P, polar surface, QED, synthetic accessibility, rings,
    rotatable bonds, donors and acceptors. Two marks that differ say which of two molecules is
    preferred; 10 such pairs are needed. A property beyond what you rated counts as the nearest that
    you did.

    file: CSV with the columns sequence and mark, 1 to 5; of several files, marks of the same file
    alone are compared.
    sha256: SHA-256 of each file; a run writes it into its config, and refuses a file that has
    changed.
    """
    taste = PREFERENCES.taste(file)
    return float(taste.utility(np.array(properties_of(molecule))))

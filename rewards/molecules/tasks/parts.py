"""What the tasks are made of: similarities, patterns, curves from 0 to 1, and means.

All functions here return floats from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from rdkit import Chem, DataStructs

from sequence_tutor.rewards.aggregate import arithmetic_mean, geometric_mean
from sequence_tutor.rewards.molecules.molecule import Molecule
from sequence_tutor.rewards.molecules.pharmacophores import tanimoto
from sequence_tutor.rewards.molecules.tasks.drugs import drug
from sequence_tutor.rewards.transforms import gaussian, linear

# Each counts how often a fragment occurs.
_FINGERPRINTS: dict[str, Callable[[Molecule], Any]] = {
    "ECFP4": lambda molecule: molecule.fingerprint(2, counts=True),
    "ECFP6": lambda molecule: molecule.fingerprint(3, counts=True),
    "FCFP4": lambda molecule: molecule.fingerprint(2, counts=True, features=True),
    "AP": lambda molecule: molecule.atom_pairs,
}


def similarity(molecule: Molecule, name: str, kind: str) -> float:
    """Tanimoto similarity to the drug `name`; `kind` of fingerprint: ECFP4, ECFP6, FCFP4 or AP
    (atom pairs)."""
    fingerprint = _FINGERPRINTS[kind]
    return float(DataStructs.TanimotoSimilarity(fingerprint(molecule), fingerprint(drug(name))))


def same_pharmacophores(molecule: Molecule, name: str) -> float:
    """Tanimoto similarity of the pharmacophores to those of the drug `name`."""
    return tanimoto(molecule.pharmacophores, drug(name).pharmacophores)


def up_to(x: float, enough: float) -> float:
    """A straight line: 0 at 0, 1 from `enough` on."""
    return float(linear(np.array([x]), 0.0, enough)[0])


def near(x: float, mean: float, sigma: float) -> float:
    """exp(-((x - mean) / sigma)^2 / 2)."""
    return float(gaussian(np.array([x]), mean, sigma)[0])


def at_least(x: float, limit: float, sigma: float) -> float:
    """1 from `limit` on; below it as `near`."""
    return near(min(x, limit), limit, sigma)


def at_most(x: float, limit: float, sigma: float) -> float:
    """1 up to `limit`; above it as `near`."""
    return near(max(x, limit), limit, sigma)


def geometric(*values: float) -> float:
    """The geometric mean; one value of 0 makes it 0."""
    return float(geometric_mean(np.array([values]), np.ones(len(values)))[0])


def arithmetic(*values: float) -> float:
    """The arithmetic mean."""
    return float(arithmetic_mean(np.array([values]), np.ones(len(values)))[0])


@cache
def _pattern(smarts: str) -> Any:
    return Chem.MolFromSmarts(smarts)


def has(molecule: Molecule, smarts: str) -> float:
    """1 where the pattern is found, else 0."""
    return float(molecule.mol.HasSubstructMatch(_pattern(smarts)))


def lacks(molecule: Molecule, smarts: str) -> float:
    """0 where the pattern is found, else 1."""
    return 1.0 - has(molecule, smarts)

"""What the tasks are made of: similarities, formulas, patterns, curves from 0 to 1, and means.

All functions here return floats from 0 to 1.
"""

from __future__ import annotations

import re
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


@cache
def _parse_formula(formula: str) -> dict[str, int]:
    return {symbol: int(n or 1) for symbol, n in re.findall(r"([A-Z][a-z]*)(\d*)", formula)}


def has_formula(molecule: Molecule, formula: str) -> float:
    """How near the molecule's formula is to another such as "C11H24"; 1 where they are equal.

    The geometric mean of a Gaussian for each element that `formula` names, sigma = 1 atom, and one
    for the number of all atoms, sigma = 2 atoms; hydrogen atoms count.
    """
    wanted, found = _parse_formula(formula), molecule.elements
    differences = [float(found.get(symbol, 0) - n) for symbol, n in wanted.items()]
    differences.append((sum(found.values()) - sum(wanted.values())) / 2.0)
    each = gaussian(np.array([differences]), 0.0, 1.0)
    return float(geometric_mean(each, np.ones(len(differences)))[0])

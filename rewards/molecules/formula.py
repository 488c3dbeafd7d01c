"""Molecular formulas."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
from rdkit import Chem

from sequence_tutor.rewards.aggregate import geometric_mean
from sequence_tutor.rewards.molecules.molecule import Molecule
from sequence_tutor.rewards.transforms import gaussian

_ELEMENT = re.compile(r"([A-Z][a-z]?)(\d*)")


@cache
def parse_formula(formula: str) -> dict[str, int]:
    """Symbol -> number of atoms, of a formula such as "C11H24". Raises ValueError with one sentence
    for another text."""
    table, numbers = Chem.GetPeriodicTable(), dict[str, int]()
    for symbol, times in _ELEMENT.findall(formula):
        numbers[symbol] = numbers.get(symbol, 0) + int(times or 1)
    known = {table.GetElementSymbol(n) for n in range(1, 119)}
    if not numbers or _ELEMENT.sub("", formula) or not known.issuperset(numbers):
        raise ValueError(f'formula = {formula!r} is not a formula such as "C9H10N2O2PF2Cl"')
    return numbers


def has_formula(molecule: Molecule, formula: str) -> float:
    """How near the molecule's formula is to another such as "C11H24"; 1 where they are equal.

    The geometric mean of a Gaussian for each element that `formula` names, sigma = 1 atom, and one
    for the number of all atoms, sigma = 2 atoms; hydrogen atoms count.
    """
    wanted, found = parse_formula(formula), molecule.elements
    differences = [float(found.get(symbol, 0) - n) for symbol, n in wanted.items()]
    differences.append((sum(found.values()) - sum(wanted.values())) / 2.0)
    each = gaussian(np.array([differences]), 0.0, 1.0)
    return float(geometric_mean(each, np.ones(len(differences)))[0])

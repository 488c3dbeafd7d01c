"""Matched molecular pairs: two molecules that differ in one place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from rdkit import Chem
from rdkit.Chem import rdMMPA

from sequence_tutor.rewards.molecules.measures.similarity import as_tuple, references
from sequence_tutor.rewards.molecules.molecule import Molecule
from sequence_tutor.rewards.registry import component

# A bond that may be cut: single, not in a ring, from a carbon; chains of CH2 stay whole.
CUT = "[#6+0;!$(*=,#[!#6])]!@!=!#[!#0;!#1;!$([CH2]);!$([CH3][CH2])]"
# What a cut leaves on both sides.
OPEN_END = "[*:1]"


class Limits(NamedTuple):
    """What the variable part of a molecule may be: the part in which the two of a pair differ."""

    heavies: int
    """Most heavy atoms."""
    ratio: float
    """Most heavy atoms, as a share of the molecule's."""


def _main_part(mol: Chem.Mol) -> Chem.Mol:
    """The largest of the parts of a salt."""
    parts: tuple[Chem.Mol, ...] = Chem.GetMolFrags(mol, asMols=True)
    return max(parts, key=lambda part: int(part.GetNumHeavyAtoms()))


def cuts(mol: Chem.Mol, limits: Limits) -> Iterator[tuple[str, str]]:
    """SMILES of the constant and of the variable part, for all cuts within the limits. Each bond
    gives two, as either side may be the constant one."""
    most = min(limits.heavies, limits.ratio * mol.GetNumHeavyAtoms())
    # RDKit gives none at all where there are more bonds to cut than its fourth argument
    for _, sides in rdMMPA.FragmentMol(mol, 1, 1, mol.GetNumBonds() + 1, CUT, False):
        one, other = sides.split(".")
        for constant, variable in ((one, other), (other, one)):
            atoms = Chem.MolFromSmiles(variable, sanitize=False).GetNumHeavyAtoms()
            if atoms <= most:
                yield constant, variable


def with_hydrogen(constant: str) -> str:
    """The molecule of a constant part with hydrogen at the open end."""
    return str(Chem.MolToSmiles(Chem.MolFromSmiles(constant.replace(OPEN_END, "[H]"))))


class _Cut(NamedTuple):
    """All cuts of some molecules."""

    whole: frozenset[str]
    """SMILES of the molecules."""
    variables: Mapping[str, frozenset[str]]
    """Constant part -> variable parts of the molecules that have it."""
    closed: frozenset[str]
    """Constant parts with hydrogen at the open end."""


def _cut(mols: list[Chem.Mol], limits: Limits) -> _Cut:
    found: dict[str, set[str]] = {}
    for mol in mols:
        for constant, variable in cuts(mol, limits):
            found.setdefault(constant, set()).add(variable)
    return _Cut(
        frozenset(Chem.MolToSmiles(mol) for mol in mols),
        {constant: frozenset(variables) for constant, variables in found.items()},
        frozenset(map(with_hydrogen, found)),
    )


@lru_cache(maxsize=16)
def _known(smiles: tuple[str, ...], limits: Limits) -> _Cut:
    return _cut([_main_part(one.mol) for one in references(smiles)], limits)


def _check_matched_pair(
    smiles: str | list[str], max_variable_heavies: int = 40, max_variable_ratio: float = 0.33
) -> None:
    if max_variable_heavies < 1:
        raise ValueError(f"max_variable_heavies must be at least 1, got {max_variable_heavies}")
    if not 0 < max_variable_ratio <= 1:
        raise ValueError(f"max_variable_ratio must be above 0, up to 1, got {max_variable_ratio}")
    _known(as_tuple(smiles), Limits(max_variable_heavies, max_variable_ratio))


@component(
    "matched_pair",
    domain="molecules",
    bounded=True,
    check=_check_matched_pair,
    reference="Hussain and Rea 2010, https://doi.org/10.1021/ci900450m; "
    "Dalke et al. 2018, https://doi.org/10.1021/acs.jcim.8b00173",
    example='smiles = "Cc1ccc(C(=O)NCc2ccccc2)cc1"',
)
def matched_pair(
    molecule: Molecule,
    *,
    smiles: str | list[str],
    max_variable_heavies: int = 40,
    max_variable_ratio: float = 0.33,
) -> float:
    """1 where the molecule and a reference differ in one part, at one bond, else 0.

    The reference itself is no pair. Of a salt the largest part is compared.

    smiles: the reference; of a list, one is enough.
    max_variable_heavies: most heavy atoms of the part in which they differ.
    max_variable_ratio: the same as a share of the molecule's heavy atoms.
    """
    limits = Limits(max_variable_heavies, max_variable_ratio)
    known, mol = _known(as_tuple(smiles), limits), _main_part(molecule.mol)
    own = _cut([mol], limits)
    if known.whole & own.closed or own.whole & known.closed:
        return 1.0  # hydrogen in place of a variable part
    return float(any(known.variables.get(c, v) != v for c, v in own.variables.items()))

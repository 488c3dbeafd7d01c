"""Patterns in a molecule."""

from __future__ import annotations

from functools import lru_cache

from rdkit import Chem

from sequence_tutor.rewards.molecules.molecule import Molecule
from sequence_tutor.rewards.molecules.pattern import pattern_of
from sequence_tutor.rewards.registry import component

# RDKit searches for this number of matches at most; without a limit a pattern like *~*~* could
# fill the memory.
MOST_MATCHES = 1_000


@lru_cache(maxsize=16)
def compiled(smarts: tuple[str, ...]) -> tuple[Chem.Mol, ...]:
    """The queries of several SMARTS, which may be more than `pattern_of` remembers. Raises as it
    does."""
    return tuple(map(pattern_of, smarts))


def _given(smarts: str | list[str]) -> tuple[str, ...]:
    return (smarts,) if isinstance(smarts, str) else tuple(smarts)


def _check_substructure(
    smarts: str | list[str], absent: bool = False, chirality: bool = False
) -> None:
    if not compiled(_given(smarts)):
        raise ValueError("smarts needs at least one pattern")


@component(
    "substructure",
    domain="molecules",
    bounded=True,
    check=_check_substructure,
    reference="https://www.daylight.com/dayhtml/doc/theory/theory.smarts.html",
    example='smarts = "c1ccccc1"',
)
def substructure(
    molecule: Molecule, *, smarts: str | list[str], absent: bool = False, chirality: bool = False
) -> float:
    """1 where the pattern is found, else 0.

    smarts: the pattern; of a list, one found is enough.
    absent: true turns the value round: 0 where it is found, else 1.
    chirality: whether stereo centres of the pattern must agree.
    """
    found = any(
        molecule.mol.HasSubstructMatch(pattern, useChirality=chirality)
        for pattern in compiled(_given(smarts))
    )
    return float(found != absent)


def _check_count(smarts: str, chirality: bool = False) -> None:
    pattern_of(smarts)


@component(
    "substructure_count",
    domain="molecules",
    least=0.0,
    most=float(MOST_MATCHES),
    check=_check_count,
    reference="https://www.daylight.com/dayhtml/doc/theory/theory.smarts.html",
    example='smarts = "[F,Cl]"',
)
def substructure_count(molecule: Molecule, *, smarts: str, chirality: bool = False) -> float:
    """How often the pattern is found; matches of the same atoms count once, at most 1000.

    smarts: the pattern.
    chirality: whether stereo centres of the pattern must agree.
    """
    found = molecule.mol.GetSubstructMatches(
        pattern_of(smarts), uniquify=True, useChirality=chirality, maxMatches=MOST_MATCHES
    )
    return float(len(found))

"""Two measures of molecules that a run has found: how different they are, and whether a chemist
would look at them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from rdkit import DataStructs
from rdkit.Chem import Descriptors, FilterCatalog

from sequence_tutor.rewards.molecules.molecule import Molecule

# Lists of undesired substructures in RDKit's FilterCatalog, 701 patterns. They are the quality
# filters of GuacaMol (Brown et al. 2019) but for a fourth list, which RDKit doesn't have.
ALERTS = ("PAINS", "CHEMBL_SureChEMBL", "CHEMBL_Glaxo")
LIGHTEST, HEAVIEST = 150.0, 650.0  # g/mol; Thomas et al. 2022 (arXiv 2212.01385)
LARGEST_RING = 8  # atoms; MOSES (Polykovskiy et al. 2020)


def circles(molecules: Iterable[Molecule], distance: float = 0.75) -> int:
    """#Circles (Xie et al. 2021, arXiv 2112.12542): how many molecules can be chosen so that any
    two are farther apart than `distance`. It grows with variety; copies and near ones add nothing.

    Distance is 1 - Tanimoto similarity of ECFP4 bits, 0 to 1. The largest choice is too hard to
    find, so it is made greedily: each molecule is chosen if it is far from all chosen before it.
    The result is a lower limit and depends on the order; put the best molecules first. Raises
    ValueError unless 0 <= distance < 1.
    """
    if not 0.0 <= distance < 1.0:
        raise ValueError(f"distance must be from 0 to below 1, got {distance}")
    chosen: list[Any] = []
    for molecule in molecules:
        bits = molecule.fingerprint()
        if all(s < 1.0 - distance for s in DataStructs.BulkTanimotoSimilarity(bits, chosen)):
            chosen.append(bits)
    return len(chosen)


@cache
def _catalog() -> Any:
    chosen = FilterCatalog.FilterCatalogParams()
    for name in ALERTS:
        chosen.AddCatalog(getattr(FilterCatalog.FilterCatalogParams.FilterCatalogs, name))
    return FilterCatalog.FilterCatalog(chosen)


def alerts(molecule: Molecule) -> list[str]:
    """Names of the undesired substructures that it has, from the lists ALERTS."""
    return [str(match.GetDescription()) for match in _catalog().GetMatches(molecule.mol)]


def alert_atoms(mol: Any) -> dict[str, set[int]]:
    """The atoms of each undesired substructure of an RDKit molecule, by its name, from the lists
    ALERTS; a pattern for what is absent has none."""
    found: dict[str, set[int]] = {}
    for entry in _catalog().GetMatches(mol):
        atoms = found.setdefault(str(entry.GetDescription()), set())
        for match in entry.GetFilterMatches(mol):
            atoms.update(atom for _, atom in match.atomPairs)
    return found


def passes_filters(molecule: Molecule) -> bool:
    """Whether it has no undesired substructure, weighs 150 to 650 g/mol and has no ring of more
    than 8 atoms. It is a coarse test: 3 of 4 molecules of ZINC250k pass, and some drugs don't."""
    weight = Descriptors.MolWt(molecule.mol)  # type: ignore[attr-defined]
    return bool(
        LIGHTEST <= weight <= HEAVIEST
        and molecule.largest_ring <= LARGEST_RING
        and not _catalog().HasMatch(molecule.mol)
    )

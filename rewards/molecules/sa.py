"""Synthetic accessibility (Ertl and Schuffenhauer 2009), equal to RDKit's to the last bit.

Half of the time of RDKit's `sascorer` goes into a fingerprint and a test of each atom for being a
stereocentre. Here the fingerprint is an argument, since other components use it too, and one query
finds the stereocentres. The scores of fragments are RDKit's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from importlib import import_module

from rdkit import Chem
from rdkit.Chem import rdMolDescriptors, rdqueries

# Ends of the raw scale, on which higher is easier, and the raw score of an unknown fragment.
_LEAST, _MOST = -4.0, 2.5
_UNKNOWN_FRAGMENT = -4
_MACROCYCLE = 8


def sa(mol: Chem.Mol, fragments: Mapping[int, int], largest_ring: int) -> float:
    """Synthetic accessibility, 1 easy to 10 hard. fragments: count of each Morgan environment of
    radius 2, summed in the fingerprint's order; largest_ring: its atoms, 0 without a ring."""
    scores = _fragment_scores()
    total, found = 0.0, 0
    for fragment, n in fragments.items():
        found += n
        total += scores.get(fragment, _UNKNOWN_FRAGMENT) * n
    atoms = mol.GetNumAtoms()
    complexity = (
        0.0
        - (atoms**1.005 - atoms)
        - math.log10(_stereocentres(mol) + 1)
        - math.log10(rdMolDescriptors.CalcNumSpiroAtoms(mol) + 1)
        - math.log10(rdMolDescriptors.CalcNumBridgeheadAtoms(mol) + 1)
        - (math.log10(2) if largest_ring > _MACROCYCLE else 0.0)
    )
    # a symmetric molecule has fewer environments than atoms
    symmetry = math.log(atoms / len(fragments)) * 0.5 if atoms > len(fragments) else 0.0
    raw: float = total / found + complexity + symmetry
    score = 11.0 - (raw - _LEAST + 1) / (_MOST - _LEAST) * 9.0
    if score > 8.0:
        score = 8.0 + math.log(score + 1.0 - 9.0)
    return min(max(score, 1.0), 10.0)


@cache
def _fragment_scores() -> Mapping[int, float]:
    sascorer = import_module("rdkit.Contrib.SA_Score.sascorer")
    sascorer.readFragmentScores()
    scores: Mapping[int, float] = sascorer._fscores
    return scores


def _stereocentres(mol: Chem.Mol) -> int:
    """Number of centres that `FindMolChiralCenters` finds, unassigned ones included."""
    if not Chem.GetUseLegacyStereoPerception():
        return len(Chem.FindMolChiralCenters(mol, includeUnassigned=True))  # type: ignore[no-untyped-call]
    Chem.AssignStereochemistry(mol, cleanIt=True, force=True, flagPossibleStereoCenters=True)
    return len(mol.GetAtomsMatchingQuery(_centre()))


@cache
def _centre() -> Chem.QueryAtom:
    query = rdqueries.HasPropQueryAtom("_CIPCode")
    possible = rdqueries.HasPropQueryAtom("_ChiralityPossible")
    query.ExpandQuery(possible, Chem.CompositeQueryType.COMPOSITE_OR)
    return query

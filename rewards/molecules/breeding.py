"""Children of molecules: an edit of the graph, then the limits that all children keep.

A child is one fragment of at most 50 heavy atoms with rings of at most 7, without stereochemistry
and radicals, and no atom has a charge that it hadn't in its parent. Its text is its key, see
`identity`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rdkit import Chem

from sequence_tutor.rewards.molecules.crossover import cross_chains, cross_rings
from sequence_tutor.rewards.molecules.identity import identify
from sequence_tutor.rewards.molecules.molecule import quiet
from sequence_tutor.rewards.molecules.mutations import any_mutation
from sequence_tutor.rewards.molecules.parent import Parent, parent_of

MOST_ATOMS, LARGEST_RING = 50, 7
TRIES = 10

# What the text of a child needs; `identify` checks all the rest. Without RDKit's clean-up a wrong
# valence is refused, which it might turn into charges.
_CHECKS = (
    Chem.SANITIZE_PROPERTIES
    | Chem.SANITIZE_SYMMRINGS
    | Chem.SANITIZE_SETAROMATICITY
    | Chem.SANITIZE_ADJUSTHS
)
# Strained or short-lived: allenes and ketenes; in a ring two double bonds at one atom, a triple
# bond, a double bond in a ring of 3 or 4. And sulfur with a hydrogen that a lost oxygen left.
_REFUSED = "[#6]=[#6]=*", "*=@*=@*", "*#@*", "[r3,r4]=@[r3,r4]", "[#16;!H0;!v2]"
# as one pattern, which takes half the time of five
_UNWANTED = Chem.MolFromSmarts(f"[{','.join(f'$({pattern})' for pattern in _REFUSED)}]")


def mutate(smiles: str, random: np.random.Generator) -> str | None:
    """A molecule that differs from this one by an atom or a bond, as its key; None where ten tries
    found none or the text isn't valid."""
    with quiet():
        parent = parent_of(smiles)
        if parent is None:
            return None
        for _ in range(TRIES):
            child = any_mutation(random)(parent, random)
            if child is not None and (key := finish(child, [parent])) is not None:
                return key
    return None


def cross(first: str, second: str, random: np.random.Generator) -> str | None:
    """A molecule of a part of each of two, as its key; None where ten tries found none or a text
    isn't valid."""
    with quiet():
        one, other = parent_of(first), parent_of(second)
        if one is None or other is None:
            return None
        for _ in range(TRIES):
            kind = cross_chains if random.random() < 0.5 else cross_rings
            child = kind(one, other, MOST_ATOMS, random)
            if child is not None and (key := finish(child, [one, other])) is not None:
                return key
    return None


def finish(child: Chem.RWMol, parents: Sequence[Parent]) -> str | None:
    """The key of an edited molecule; None where it breaks a limit or is one of its parents."""
    if child.GetNumAtoms() > MOST_ATOMS:
        return None
    if Chem.SanitizeMol(child, _CHECKS, catchErrors=True) != Chem.SANITIZE_NONE:
        return None
    rings = child.GetRingInfo().AtomRings()
    if rings and max(map(len, rings)) > LARGEST_RING:
        return None
    if child.HasSubstructMatch(_UNWANTED):
        return None
    text = Chem.MolToSmiles(child)
    if "." in text or any(text == parent.plain for parent in parents):
        return None
    key = identify(text).key
    return None if any(key == parent.plain for parent in parents) else key

"""Small changes of a molecule: one atom or one bond.

The kinds of change, and how likely each is, follow Jensen 2019, "A graph-based genetic algorithm
and generative model/Monte Carlo tree search for the exploration of chemical space", Chemical
Science 10, 3567. He writes them as reaction patterns; here they are edits of the graph, with sites
found by counting hydrogens, which is faster. Each takes a parent and a generator, and returns a
molecule that isn't sanitised, or None where the parent has no place for the change.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable
from itertools import accumulate

import numpy as np
from rdkit import Chem

from sequence_tutor.rewards.molecules.parent import ORDERS, Bond, Parent, may_bond, pick

# The most bonds of each element that a change may give it.
VALENCE = {6: 4, 7: 3, 8: 2, 9: 1, 16: 2, 17: 1, 35: 1}
# Elements of a new atom by the order of its bond to the molecule.
APPENDED = {1: (6, 7, 8, 9, 16, 17, 35), 2: (6, 7, 8), 3: (6, 7)}
INSERTED = {1: (6, 7, 8, 16), 2: (6, 7), 3: (6,)}
TRIES = 5  # places tried by one change

Random = np.random.Generator
Mutation = Callable[[Parent, Random], Chem.RWMol | None]


def append_atom(parent: Parent, random: Random) -> Chem.RWMol | None:
    """A new atom in place of one, two or three hydrogens of an atom."""
    order = _order(random)
    sites = [atom for atom, free in enumerate(parent.hydrogens) if free >= order]
    if not sites:
        return None
    for _ in range(TRIES):
        site, element = pick(sites, random), pick(APPENDED[order], random)
        if may_bond(parent.elements[site], element):
            child = Chem.RWMol(parent.mol)
            child.AddBond(site, child.AddAtom(Chem.Atom(element)), ORDERS[order])
            return child
    return None


def insert_atom(parent: Parent, random: Random) -> Chem.RWMol | None:
    """A new atom between two that have a bond. Its own bonds are single, but one of them may be
    double or triple."""
    order = _order(random)
    for _ in range(TRIES if parent.editable else 0):
        bond, element = pick(parent.editable, random), pick(INSERTED[order], random)
        near, far = _turned(bond, random)
        if (
            parent.hydrogens[near] + bond.order >= order
            and may_bond(parent.elements[near], element)
            and may_bond(parent.elements[far], element)
        ):
            child = Chem.RWMol(parent.mol)
            child.RemoveBond(near, far)
            new = child.AddAtom(Chem.Atom(element))
            child.AddBond(near, new, ORDERS[order])
            child.AddBond(new, far, ORDERS[1])
            return child
    return None


def delete_atom(parent: Parent, random: Random) -> Chem.RWMol | None:
    """An atom less; one of its neighbours takes over the others by single bonds."""
    for _ in range(TRIES if parent.loose else 0):
        atom = pick(parent.loose, random)
        bonds = parent.neighbours[atom]
        if not bonds:
            continue
        heir = pick(list(bonds), random)
        others = [other for other in bonds if other != heir]
        if parent.hydrogens[heir] + bonds[heir] < len(others) or any(
            other in parent.neighbours[heir]
            or not may_bond(parent.elements[heir], parent.elements[other])
            for other in others
        ):
            continue
        child = Chem.RWMol(parent.mol)
        for other in others:
            child.AddBond(heir, other, ORDERS[1])
        child.RemoveAtom(atom)
        return child
    return None


def change_element(parent: Parent, random: Random) -> Chem.RWMol | None:
    """Another element in the place of an atom, with the same bonds; each that may have them is as
    likely, which is within .01 of Jensen's shares."""
    for _ in range(TRIES if parent.loose else 0):
        atom = pick(parent.loose, random)
        bonds = parent.neighbours[atom]
        used = sum(bonds.values())
        fitting = [
            element
            for element, most in VALENCE.items()
            if used <= most
            and element != parent.elements[atom]
            and all(may_bond(element, parent.elements[other]) for other in bonds)
        ]
        if fitting and parent.elements[atom] in VALENCE:
            child = Chem.RWMol(parent.mol)
            child.GetAtomWithIdx(atom).SetAtomicNum(pick(fitting, random))
            return child
    return None


def change_bond_order(parent: Parent, random: Random) -> Chem.RWMol | None:
    """A bond made single, double or triple, with hydrogens given or taken at both ends."""
    drawn = random.random()
    order = 1 if drawn < 0.45 else 2 if drawn < 0.95 else 3
    bonds = [
        bond
        for bond in parent.editable
        if bond.order != order
        and order - bond.order <= parent.hydrogens[bond.first]
        and order - bond.order <= parent.hydrogens[bond.second]
        and not (order == 3 and bond.rings)
    ]
    if not bonds:
        return None
    bond = pick(bonds, random)
    child = Chem.RWMol(parent.mol)
    child.GetBondBetweenAtoms(bond.first, bond.second).SetBondType(ORDERS[order])
    return child


def delete_ring_bond(parent: Parent, random: Random) -> Chem.RWMol | None:
    """A ring opened at one of its bonds."""
    bonds = [bond for bond in parent.editable if bond.rings]
    if not bonds:
        return None
    bond = pick(bonds, random)
    child = Chem.RWMol(parent.mol)
    child.RemoveBond(bond.first, bond.second)
    return child


def add_ring(parent: Parent, random: Random) -> Chem.RWMol | None:
    """A single bond that closes a ring of 5 or 6."""
    if not parent.closable:
        return None
    child = Chem.RWMol(parent.mol)
    child.AddBond(*pick(parent.closable, random), ORDERS[1])
    return child


MUTATIONS: dict[Mutation, float] = {
    insert_atom: 0.15,
    change_element: 0.15,
    append_atom: 0.14,
    delete_atom: 0.14,
    change_bond_order: 0.14,
    delete_ring_bond: 0.14,
    add_ring: 0.14,
}
_KINDS = list(MUTATIONS)
_UP_TO = list(accumulate(MUTATIONS.values()))


def any_mutation(random: Random) -> Mutation:
    """One of the changes, by its share."""
    return _KINDS[min(bisect(_UP_TO, random.random() * _UP_TO[-1]), len(_KINDS) - 1)]


def _order(random: Random) -> int:
    """The order of a new bond: single for 60 %, double for 35 %, triple for 5 %."""
    drawn = random.random()
    return 1 if drawn < 0.6 else 2 if drawn < 0.95 else 3


def _turned(bond: Bond, random: Random) -> tuple[int, int]:
    """The ends of a bond, either first."""
    ends = bond.first, bond.second
    return ends if random.random() < 0.5 else ends[::-1]

"""Molecules from a part of one parent and a part of another.

After Jensen 2019 (see `mutations`): half of the cuts go through a bond of a chain, half through two
bonds of a ring. What remains of both parents is joined where it was cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rdkit import Chem

from sequence_tutor.rewards.molecules.parent import ORDERS, Parent, may_bond, pick

MADE_RINGS = 5, 6  # atoms in the ring that two halves of rings make
FEWEST_ATOMS = 6

Random = np.random.Generator


@dataclass(frozen=True)
class Half:
    """What is kept of a parent."""

    parent: Parent
    """Whose half it is."""
    kept: set[int]
    """The atoms."""
    ends: tuple[int, ...]
    """The kept atom at each bond that was cut; the same twice where it had both."""
    orders: tuple[int, ...]
    """The order of each bond that was cut."""


def cross_chains(first: Parent, second: Parent, most: int, random: Random) -> Chem.RWMol | None:
    """The halves of two chains, joined by a single bond; None where a parent has no chain or
    the child would not have 6 to `most` atoms. Not sanitised."""
    if not (first.chain and second.chain):
        return None
    one, other = _chain_half(first, random), _chain_half(second, random)
    return _join(one, other, most, random)


def cross_rings(first: Parent, second: Parent, most: int, random: Random) -> Chem.RWMol | None:
    """The halves of two rings, joined to a ring of 5 or 6; None where they don't fit or
    the child would not have 6 to `most` atoms. Not sanitised."""
    if not (first.open_rings and second.open_rings):
        return None
    one = _ring_half(first, range(1, MADE_RINGS[-1]), random)
    if one is None:
        return None
    half, atoms = one
    other = _ring_half(second, [size - atoms for size in MADE_RINGS if size > atoms], random)
    return None if other is None else _join(half, other[0], most, random)


def _chain_half(parent: Parent, random: Random) -> Half:
    bond = pick(parent.chain, random)
    ends = bond.first, bond.second
    kept, lost = ends if random.random() < 0.5 else ends[::-1]
    return Half(parent, parent.reach(kept, [(kept, lost)]), (kept,), (1,))


def _ring_half(parent: Parent, sizes: range | list[int], random: Random) -> tuple[Half, int] | None:
    """What hangs on an arc of a ring, and the atoms in the arc, which is one of `sizes`. None where
    the arc drawn has another size, or the rest of the ring hangs on it too."""
    ring, places = pick(parent.open_rings, random)
    fitting = [
        (start, end, atoms)
        for start in places
        for end in places
        if (atoms := (end - start) % len(ring)) in sizes
    ]
    if not fitting:
        return None
    start, end, atoms = pick(fitting, random)
    before, head = ring[start], ring[(start + 1) % len(ring)]
    tail, after = ring[end], ring[(end + 1) % len(ring)]
    kept = parent.reach(head, [(before, head), (tail, after)])
    if tail not in kept or before in kept or after in kept:
        return None
    bonds = parent.neighbours
    half = Half(parent, kept, (head, tail), (bonds[before][head], bonds[tail][after]))
    return half, atoms


def _join(one: Half, other: Half, most: int, random: Random) -> Chem.RWMol | None:
    """Two halves, joined end to end; None where they may not be."""
    if not FEWEST_ATOMS <= len(one.kept) + len(other.kept) <= most:
        return None
    bonds = _new_bonds(one, other, random)
    if bonds is None:
        return None
    shift = len(one.parent.elements)
    child = Chem.RWMol(one.parent.mol)
    child.InsertMol(other.parent.mol)
    for near, far, order in bonds:
        child.AddBond(near, far + shift, ORDERS[order])
    child.BeginBatchEdit()
    for half, start in ((one, 0), (other, shift)):
        for atom in range(len(half.parent.elements)):
            if atom not in half.kept:
                child.RemoveAtom(atom + start)
    child.CommitBatchEdit()
    return child


def _new_bonds(one: Half, other: Half, random: Random) -> list[tuple[int, int, int]] | None:
    """The bonds between two halves: atom of one, atom of the other, order. The order is that of the
    two bonds that were cut, of unequal ones either, and at most what both atoms have free."""
    turned = random.random() < 0.5
    ends = other.ends[::-1] if turned else other.ends
    orders = other.orders[::-1] if turned else other.orders
    free, free_other = _free(one), _free(other)
    bonds = []
    for i, (near, far) in enumerate(zip(one.ends, ends, strict=True)):
        if not may_bond(one.parent.elements[near], other.parent.elements[far]):
            return None
        wanted = (one.orders[i], orders[i])[random.random() < 0.5]
        # an atom that is both ends of its half keeps one for its second bond
        later = one.ends[i + 1 :].count(near), ends[i + 1 :].count(far)
        order = min(wanted, free[near] - later[0], free_other[far] - later[1])
        if order < 1:
            return None
        free[near] -= order
        free_other[far] -= order
        bonds.append((near, far, order))
    return bonds


def _free(half: Half) -> dict[int, int]:
    """How many bonds each end may have to the other half: its hydrogens, and what was cut."""
    free = {end: half.parent.hydrogens[end] for end in half.ends}
    for end, order in zip(half.ends, half.orders, strict=True):
        free[end] += order
    return free

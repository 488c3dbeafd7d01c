"""What breeding needs to know about a molecule, found once for the many times that it is a parent.

Breeding works on Kekule forms: each bond is single, double or triple, and no atom has hydrogens of
its own, so that RDKit fills the valences of what an edit leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeVar

import numpy as np
from rdkit import Chem

from sequence_tutor.rewards.molecules.identity import identify

REMEMBERED = 2_048
ORDERS = {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE}
HALOGENS = frozenset((9, 17, 35, 53))
CARBON, OXYGEN = 6, 8

T = TypeVar("T")


@dataclass(frozen=True)
class Bond:
    """A bond of a parent, between two of its atoms."""

    first: int
    """Index of the atom at one end."""
    second: int
    """Index of the atom at the other."""
    order: int
    """1 to 3; 0 for what has no such number, which no edit touches."""
    rings: int
    """How many rings of the smallest set the bond is in."""


@dataclass(frozen=True)
class Parent:
    """A molecule of one fragment, N atoms, without stereochemistry and isotopes.

    All fields follow from the text alone, and nothing changes them.
    """

    mol: Chem.Mol
    """The Kekule form; to be copied before an edit."""
    plain: str
    """Its canonical SMILES, which no child may have."""
    elements: tuple[int, ...]
    """Atomic numbers [N]."""
    charged: tuple[bool, ...]
    """[N]: whether the atom has a charge."""
    hydrogens: tuple[int, ...]
    """[N]: hydrogens on the atom, each of which a new bond may replace."""
    bonds: tuple[Bond, ...]
    """All bonds, in RDKit's order."""
    rings: tuple[tuple[int, ...], ...]
    """The atoms of each ring of the smallest set, in the order of the ring."""

    @cached_property
    def neighbours(self) -> list[dict[int, int]]:
        """[N]: the order of the bond to each neighbour."""
        found: list[dict[int, int]] = [{} for _ in self.elements]
        for bond in self.bonds:
            found[bond.first][bond.second] = found[bond.second][bond.first] = bond.order
        return found

    @cached_property
    def loose(self) -> list[int]:
        """Atoms that an edit may take away or change: without a charge, and without a double bond
        to one, as in a nitro group, which would lose its form."""
        return [
            atom
            for atom, bonds in enumerate(self.neighbours)
            if not self.charged[atom]
            and not any(self.charged[other] and order > 1 for other, order in bonds.items())
        ]

    @cached_property
    def editable(self) -> list[Bond]:
        """Bonds that an edit may change: a charge would lose what balances it."""
        return [
            bond
            for bond in self.bonds
            if bond.order and not (self.charged[bond.first] or self.charged[bond.second])
        ]

    @cached_property
    def chain(self) -> list[Bond]:
        """Single bonds outside rings, not between two charges."""
        return [
            bond
            for bond in self.bonds
            if bond.order == 1
            and not bond.rings
            and not (self.charged[bond.first] and self.charged[bond.second])
        ]

    @cached_property
    def open_rings(self) -> list[tuple[tuple[int, ...], list[int]]]:
        """Each ring with the places whose bond, to the next atom of the ring, is in this ring alone
        and may be cut, where there are two or more."""
        alone = {frozenset((bond.first, bond.second)) for bond in self.editable if bond.rings == 1}
        found = []
        for ring in self.rings:
            ends = zip(ring, (*ring[1:], ring[0]), strict=True)
            places = [i for i, pair in enumerate(ends) if frozenset(pair) in alone]
            if len(places) > 1:
                found.append((ring, places))
        return found

    @cached_property
    def closable(self) -> list[tuple[int, int]]:
        """Pairs of atoms with hydrogens, which a bond joins to a ring of 5 or 6 that shares at most
        one bond with each other ring."""
        distance = Chem.GetDistanceMatrix(self.mol)
        return [
            (first, second)
            for first, second in np.argwhere((distance == 4) | (distance == 5)).tolist()
            if first < second
            and self.hydrogens[first]
            and self.hydrogens[second]
            and may_bond(self.elements[first], self.elements[second])
            and self._fuses(first, second)
        ]

    def _fuses(self, first: int, second: int) -> bool:
        path = set(Chem.GetShortestPath(self.mol, first, second))
        return all(len(path.intersection(ring)) <= 2 for ring in self.rings)

    def reach(self, start: int, cut: Sequence[tuple[int, int]]) -> set[int]:
        """The atoms connected to an atom when the bonds between these pairs are cut."""
        closed = {pair for first, second in cut for pair in ((first, second), (second, first))}
        found, waiting = {start}, [start]
        while waiting:
            atom = waiting.pop()
            for other in self.neighbours[atom]:
                if other not in found and (atom, other) not in closed:
                    found.add(other)
                    waiting.append(other)
        return found


def may_bond(first: int, second: int) -> bool:
    """Whether an edit may join two elements: not a halogen to other than carbon, nor two oxygens,
    since such bonds break easily. A parent may have them."""
    if first in HALOGENS:
        return second == CARBON
    if second in HALOGENS:
        return first == CARBON
    return not first == second == OXYGEN


def pick(items: Sequence[T], random: np.random.Generator) -> T:
    """One of the items, each as likely. One draw, which costs a tenth of `random.choice`."""
    return items[int(random.random() * len(items))]


@lru_cache(maxsize=REMEMBERED)
def parent_of(smiles: str) -> Parent | None:
    """The parent that a SMILES gives, of several fragments the largest; None where it isn't valid.

    An atom's hydrogens become implicit and radicals are filled with them.
    """
    found = identify(smiles).mol
    if found is None:
        return None
    try:
        mol = _flat(found)
        plain = Chem.Mol(mol)
        Chem.SanitizeMol(plain)
    except (RuntimeError, ValueError):  # such as an odd valence that only its hydrogens made right
        return None
    orders = {kind: order for order, kind in ORDERS.items()}
    rings = mol.GetRingInfo()
    return Parent(
        mol=mol,
        plain=Chem.MolToSmiles(plain),
        elements=tuple(atom.GetAtomicNum() for atom in mol.GetAtoms()),
        charged=tuple(atom.GetFormalCharge() != 0 for atom in mol.GetAtoms()),
        hydrogens=tuple(atom.GetTotalNumHs() for atom in mol.GetAtoms()),
        bonds=tuple(
            Bond(
                bond.GetBeginAtomIdx(),
                bond.GetEndAtomIdx(),
                orders.get(bond.GetBondType(), 0),
                rings.NumBondRings(bond.GetIdx()),
            )
            for bond in mol.GetBonds()
        ),
        rings=tuple(rings.AtomRings()),
    )


def _flat(found: Chem.Mol) -> Chem.Mol:
    """The largest fragment's Kekule form, with nothing on its atoms but charges."""
    mol = Chem.Mol(found)
    for atom in mol.GetAtoms():
        atom.SetIsotope(0)
        atom.SetAtomMapNum(0)
    mol = Chem.RemoveHs(mol)
    if len(fragments := Chem.GetMolFrags(mol, asMols=True)) > 1:
        mol = max(fragments, key=lambda fragment: fragment.GetNumAtoms())
    Chem.RemoveStereochemistry(mol)
    Chem.Kekulize(mol, clearAromaticFlags=True)
    for atom in mol.GetAtoms():
        atom.SetNumExplicitHs(0)
        atom.SetNoImplicit(False)
        atom.SetNumRadicalElectrons(0)
    mol.UpdatePropertyCache(strict=False)
    return mol

"""Cuts a molecule at the attachment points of a given part, into the given part and what is new."""

from __future__ import annotations

from collections.abc import Iterator

from rdkit import Chem

# Ways in which a given part may lie in a molecule that are tried.
MOST_MATCHES = 64


class Cutter:
    """Finds a given part in molecules. part: a molecule with dummy atoms where others are bonded;
    nothing may be bonded elsewhere."""

    def __init__(self, part: Chem.Mol, dummies: list[int]) -> None:
        kept = Chem.RWMol(part)
        self._holders = [part.GetAtomWithIdx(d).GetNeighbors()[0].GetIdx() for d in dummies]
        for atom in sorted(dummies, reverse=True):
            kept.RemoveAtom(atom)
        # the places of the other atoms after the dummies are gone
        places = [a for a in range(part.GetNumAtoms()) if a not in dummies]
        self._holders = [places.index(holder) for holder in self._holders]
        self._core = kept.GetMol()
        self._core.UpdatePropertyCache(strict=False)

    def matches(self, mol: Chem.Mol) -> Iterator[tuple[set[int], list[list[int]]]]:
        """The atoms of the given part in a molecule, and for each attachment point the bonds that
        lead away from it; of each way in which the part lies in the molecule, if nothing is bonded
        to it elsewhere."""
        found = mol.GetSubstructMatches(self._core, uniquify=False, maxMatches=MOST_MATCHES)
        for match in found:
            atoms = set(match)
            away: dict[int, list[int]] = {}
            for atom in match:
                for bond in mol.GetAtomWithIdx(atom).GetBonds():
                    if bond.GetOtherAtomIdx(atom) not in atoms:
                        away.setdefault(atom, []).append(bond.GetIdx())
            holders = [match[holder] for holder in self._holders]
            if set(away) <= set(holders):
                yield atoms, [away.get(holder, []) for holder in holders]


def pieces(mol: Chem.Mol, bonds: list[int]) -> list[Chem.Mol] | None:
    """The pieces of a molecule after cutting single bonds, with a dummy atom at each cut, whose
    isotope is the number of the bond in `bonds`, from 1; None where a bond isn't single."""
    kinds = [mol.GetBondWithIdx(bond).GetBondType() for bond in bonds]
    if any(kind != Chem.BondType.SINGLE for kind in kinds):
        return None
    labels = [(i, i) for i in range(1, len(bonds) + 1)]
    cut = Chem.FragmentOnBonds(mol, bonds, dummyLabels=labels)
    return list(Chem.GetMolFrags(cut, asMols=True))


def dummies_of(mol: Chem.Mol) -> dict[int, int]:
    """By the isotope of each dummy atom: its place."""
    return {a.GetIsotope(): a.GetIdx() for a in mol.GetAtoms() if a.GetAtomicNum() == 0}

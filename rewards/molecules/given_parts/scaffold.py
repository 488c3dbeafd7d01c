"""A scaffold with attachment points, each of which gets a substituent."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from rdkit import Chem

from sequence_tutor.rewards.given_parts import GivenParts, Spelling
from sequence_tutor.rewards.molecules.given_parts.cutting import Cutter, dummies_of, pieces
from sequence_tutor.rewards.molecules.given_parts.spelling import (
    DUMMY,
    after_dummy,
    open_rings,
    read_part,
    renumbered,
    rooted,
)
from sequence_tutor.rewards.molecules.identity import identify

# Random spellings of the scaffold, beside those from each of its atoms.
SPELLINGS = 200
# Orders of the substituents that are tried: all of four. With more points some molecules of the
# series find no spelling.
MOST_ORDERS = 24


class Scaffold(GivenParts):
    """Decorates a scaffold, a SMILES with dummy atoms where something is to be bonded. Raises
    ValueError with one sentence."""

    filling = "C"

    def __init__(self, smiles: str) -> None:
        mol, dummies = read_part(smiles, "scaffold")
        if not dummies:
            raise ValueError(
                f"scaffold {smiles!r} has no attachment point: write [*:1] where something is to "
                "be bonded"
            )
        if len(Chem.GetMolFrags(mol)) > 1:
            raise ValueError(
                f"scaffold {smiles!r} is in several parts; two fragments to be linked are "
                "generate.fragments"
            )
        super().__init__(_spellings(mol, dummies))
        self._cutter, self._points = Cutter(mol, dummies), len(dummies)

    def spell(self, sequence: str, random: np.random.Generator | None = None) -> str | None:
        """See `GivenParts`. A substituent at each attachment point, none elsewhere."""
        found = identify(sequence)
        if found.mol is None:
            return None
        for _, away in self._cutter.matches(found.mol):
            if not all(away):
                continue
            bonds = sorted({bond for group in away for bond in group})
            if len(bonds) != self._points:
                continue
            text = self._filled(found.mol, bonds, found.key, random)
            if text is not None:
                return text
        return None

    def _filled(
        self, mol: Chem.Mol, bonds: list[int], key: str | None, random: np.random.Generator | None
    ) -> str | None:
        """The texts with the substituents between them, in the order that gives the molecule."""
        parts = pieces(mol, bonds)
        if parts is None:
            return None
        substituents = [part for part in parts if len(dummies_of(part)) == 1]
        if len(parts) != self._points + 1 or len(substituents) < self._points:
            return None  # a substituent with two bonds to the scaffold
        core = next((p for p in parts if len(dummies_of(p)) > 1), None)
        if core is None:  # one attachment point: both pieces have one dummy
            candidates = [[part] for part in parts]
        else:
            candidates = [list(order) for order in permutations(substituents)]
        for order in candidates[:MOST_ORDERS]:
            text = self._joined(order, random)
            if text is not None and identify(text).key == key:
                return text
        return None

    def _joined(
        self, substituents: list[Chem.Mol], random: np.random.Generator | None
    ) -> str | None:
        texts, gaps = self.spelling
        text = texts[0]
        for substituent, gap, following in zip(substituents, gaps, texts[1:], strict=True):
            (dummy,) = dummies_of(substituent).values()
            own = after_dummy(rooted(substituent, dummy, random))
            own = None if own is None else renumbered(own, open_rings(text))
            if own is None:
                return None
            text += own + (")" if gap == "branch" else "") + following
        return text


def _spellings(mol: Chem.Mol, dummies: list[int]) -> list[Spelling]:
    """All spellings that were found, those with the later gaps first: the policy sees what is
    before a gap alone."""
    plain = Chem.Mol(mol)
    for atom in dummies:
        plain.GetAtomWithIdx(atom).SetAtomMapNum(0)
        plain.GetAtomWithIdx(atom).SetIsotope(0)
    heavy = [a for a in range(mol.GetNumAtoms()) if a not in dummies]
    texts = {rooted(mol, atom) for atom in heavy}
    texts |= set(Chem.MolToRandomSmilesVect(plain, SPELLINGS, randomSeed=1))
    texts = {text for text in texts if not DUMMY.match(text)}
    return [_cut(text) for text in sorted(texts, key=lambda text: (-_lateness(text), text))]


def _cut(text: str) -> Spelling:
    before, *after = DUMMY.split(text)
    gaps = tuple("branch" if part else "end" for part in after)
    # the parenthesis that closes a branch is the policy's to write
    return Spelling((before, *(part.removeprefix(")") for part in after)), gaps)


def _lateness(text: str) -> float:
    """Mean place of the gaps as a share of the text."""
    places = [found.end() / len(text) for found in DUMMY.finditer(text)]
    return sum(places) / len(places)

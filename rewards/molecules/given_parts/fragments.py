"""Two fragments with an attachment point each, and a linker between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rdkit import Chem

from sequence_tutor.rewards.given_parts import GivenParts, Spelling
from sequence_tutor.rewards.molecules.given_parts.cutting import Cutter, dummies_of, pieces
from sequence_tutor.rewards.molecules.given_parts.spelling import (
    after_dummy,
    ending_at,
    open_rings,
    read_part,
    renumbered,
    rooted,
)
from sequence_tutor.rewards.molecules.identity import identify

# Random spellings of a fragment that are looked at.
SPELLINGS = 10


class Fragments(GivenParts):
    """Links two fragments, SMILES with one dummy atom each. Raises ValueError with one sentence."""

    filling = "C"

    def __init__(self, smiles: Sequence[str]) -> None:
        if len(smiles) != 2:
            raise ValueError(f"fragments needs two of them, not {len(smiles)}")
        both = [_fragment(one) for one in smiles]
        self._cutters = [Cutter(mol, [dummy]) for mol, dummy in both]
        # which fragment comes first in each spelling
        self._first: dict[Spelling, int] = {}
        for first in (0, 1):
            for before in _texts(*both[first], at_end=True):
                for after in _texts(*both[1 - first], at_end=False):
                    self._first.setdefault(Spelling((before, after), ("link",)), first)
        if not self._first:
            raise ValueError(
                f"fragments {list(smiles)!r}: no spelling has the attachment point at its end"
            )
        super().__init__(list(self._first))

    def spell(self, sequence: str, random: np.random.Generator | None = None) -> str | None:
        """See `GivenParts`. The linker has at least one atom."""
        found = identify(sequence)
        if found.mol is None:
            return None
        at = self._first[self.spelling]
        cutters = self._cutters[at], self._cutters[1 - at]
        first, second = (list(cutter.matches(found.mol)) for cutter in cutters)
        for atoms, away in first:
            for others, other_away in second:
                bonds = [*away[0], *other_away[0]]
                if atoms & others or len(bonds) != 2 or bonds[0] == bonds[1]:
                    continue
                text = self._filled(found.mol, bonds, random)
                if text is not None and identify(text).key == found.key:
                    return text
        return None

    def _filled(
        self, mol: Chem.Mol, bonds: list[int], random: np.random.Generator | None
    ) -> str | None:
        parts = pieces(mol, bonds)
        linkers = [part for part in parts or [] if len(dummies_of(part)) == 2]
        if not linkers:
            return None
        dummies = dummies_of(linkers[0])
        linker = after_dummy(ending_at(linkers[0], dummies[2], dummies[1], random))
        before, after = self.spelling.texts
        linker = None if linker is None else renumbered(linker, open_rings(before))
        return None if linker is None else before + linker + after


def _fragment(smiles: str) -> tuple[Chem.Mol, int]:
    mol, dummies = read_part(smiles, "fragment")
    if len(dummies) != 1:
        raise ValueError(
            f"fragment {smiles!r} has {len(dummies)} attachment points and needs one: write [*:1] "
            "where the linker is to be bonded"
        )
    return mol, dummies[0]


def _texts(mol: Chem.Mol, dummy: int, at_end: bool) -> list[str]:
    """Up to SPELLINGS texts of a fragment without its dummy, which is at their end or beginning."""
    random = np.random.default_rng(0)
    found: dict[str, None] = {}
    for i in range(SPELLINGS):
        if at_end:
            found[ending_at(mol, dummy, random=random)] = None
        elif (text := after_dummy(rooted(mol, dummy, random if i else None))) is not None:
            found[text] = None
    return list(found)

"""Two fragments with an attachment point each, and a linker between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rdkit import Chem

from sequence_tutor.rewards.given_parts import GivenParts
from sequence_tutor.rewards.molecules.given_parts.cutting import Cutter, dummies_of, pieces
from sequence_tutor.rewards.molecules.given_parts.spelling import (
    after_dummy,
    attachment_points,
    ending_at,
    open_rings,
    renumbered,
    rooted,
)
from sequence_tutor.rewards.molecules.identity import identify, read


class Fragments(GivenParts):
    """Links two fragments, SMILES with one dummy atom each. Raises ValueError with one sentence."""

    def __init__(self, smiles: Sequence[str]) -> None:
        if len(smiles) != 2:
            raise ValueError(f"fragments needs two of them, not {len(smiles)}")
        (first, ends), (second, begins) = map(_fragment, smiles)
        before = ending_at(first, ends)
        after = after_dummy(rooted(second, begins))
        if before is None or after is None:
            raise ValueError(
                f"fragments {list(smiles)!r}: no spelling has the attachment point at its end"
            )
        self.texts, self.gaps = (before, after), ("link",)
        self._cutters = [Cutter(first, [ends]), Cutter(second, [begins])]

    def spell(self, sequence: str, random: np.random.Generator | None = None) -> str | None:
        """See `GivenParts`. The linker has at least one atom."""
        found = identify(sequence)
        if found.mol is None:
            return None
        first, second = (list(cutter.matches(found.mol)) for cutter in self._cutters)
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
        linker = ending_at(linkers[0], dummies[2], dummies[1], random)
        linker = None if linker is None else after_dummy(linker)
        linker = None if linker is None else renumbered(linker, open_rings(self.texts[0]))
        return None if linker is None else self.texts[0] + linker + self.texts[1]


def _fragment(smiles: str) -> tuple[Chem.Mol, int]:
    mol, reason = read(smiles)
    if mol is None:
        raise ValueError(f"fragment {smiles!r} is not a SMILES: {reason}")
    try:
        dummies = attachment_points(mol)
    except ValueError as error:
        raise ValueError(f"fragment {smiles!r}: {error}") from None
    if len(dummies) != 1:
        raise ValueError(
            f"fragment {smiles!r} has {len(dummies)} attachment points and needs one: write [*:1] "
            "where the linker is to be bonded"
        )
    return mol, dummies[0]

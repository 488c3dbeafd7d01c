"""A scaffold with attachment points, each of which gets a substituent."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from rdkit import Chem

from sequence_tutor.rewards.given_parts import GivenParts
from sequence_tutor.rewards.molecules.given_parts.cutting import Cutter, dummies_of, pieces
from sequence_tutor.rewards.molecules.given_parts.spelling import (
    DUMMY,
    after_dummy,
    attachment_points,
    open_rings,
    renumbered,
    rooted,
)
from sequence_tutor.rewards.molecules.identity import identify, read

# Spellings of the scaffold among which the one is chosen whose gaps come last.
SPELLINGS = 500


class Scaffold(GivenParts):
    """Decorates a scaffold, a SMILES with dummy atoms where something is to be bonded.

    Of its spellings the one is taken whose gaps come last: the prior sees what is before a gap
    alone. Raises ValueError with one sentence.
    """

    def __init__(self, smiles: str) -> None:
        mol, reason = read(smiles)
        if mol is None:
            raise ValueError(f"scaffold {smiles!r} is not a SMILES: {reason}")
        try:
            dummies = attachment_points(mol)
        except ValueError as error:
            raise ValueError(f"scaffold {smiles!r}: {error}") from None
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
        self.texts, self.gaps = _best_spelling(mol, dummies)
        self._cutter, self._points = Cutter(mol, dummies), len(dummies)

    def spell(self, sequence: str, random: np.random.Generator | None = None) -> str | None:
        """See `GivenParts`. A substituent at each attachment point, none elsewhere."""
        found = identify(sequence)
        if found.mol is None:
            return None
        for _, away in self._cutter.matches(found.mol):
            if any(not 1 <= len(bonds) for bonds in away):
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
        for order in candidates[:24]:
            text = self._joined(order, random)
            if text is not None and identify(text).key == key:
                return text
        return None

    def _joined(
        self, substituents: list[Chem.Mol], random: np.random.Generator | None
    ) -> str | None:
        text = self.texts[0]
        for substituent, gap, following in zip(
            substituents, self.gaps, self.texts[1:], strict=True
        ):
            (dummy,) = dummies_of(substituent).values()
            own = after_dummy(rooted(substituent, dummy, random))
            own = None if own is None else renumbered(own, open_rings(text))
            if own is None:
                return None
            text += own + (")" if gap == "branch" else "") + following
        return text


def _best_spelling(mol: Chem.Mol, dummies: list[int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    random = np.random.default_rng(0)
    heavy = [a for a in range(mol.GetNumAtoms()) if a not in dummies]
    spellings = [rooted(mol, atom) for atom in heavy]
    spellings += [rooted(mol, heavy[i % len(heavy)], random) for i in range(SPELLINGS)]
    best = max(sorted(set(spellings)), key=_lateness)
    texts = DUMMY.split(best)
    gaps = tuple("branch" if text else "end" for text in texts[1:])
    # the parenthesis that closes a branch is the policy's to write
    texts = [texts[0], *(text.removeprefix(")") for text in texts[1:])]
    return tuple(texts), gaps


def _lateness(text: str) -> tuple[float, int]:
    """Mean place of the gaps as a share of the text, and whether the text ends with one."""
    places = [found.end() / len(text) for found in DUMMY.finditer(text)]
    return sum(places) / len(places), -len(text)

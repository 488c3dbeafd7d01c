"""Texts of molecules in which an attachment point is where the text needs it.

An attachment point is a dummy atom with one single bond, such as `[*:1]`. What RDKit writes after
it, if it writes the dummy first, is a text that goes on from any atom.
"""

from __future__ import annotations

import re

import numpy as np
from rdkit import Chem, rdBase

# A dummy atom in a text of RDKit, and a ring bond's number.
DUMMY = re.compile(r"\[\d*\*(?::\d+)?\]|\*")
_TOKEN = re.compile(r"\[[^\[\]]+\]|%\d\d|\d|.")
_LAST_DIGIT = 99
# Random spellings that are tried until a dummy is at the end.
SPELLINGS = 300


def attachment_points(mol: Chem.Mol) -> list[int]:
    """The dummy atoms of a molecule. Raises ValueError for one that isn't bonded by one single
    bond to another atom."""
    found = [atom for atom in mol.GetAtoms() if atom.GetAtomicNum() == 0]
    for atom in found:
        bonds = list(atom.GetBonds())
        single = len(bonds) == 1 and bonds[0].GetBondType() == Chem.BondType.SINGLE
        if not single or bonds[0].GetOtherAtom(atom).GetAtomicNum() == 0:
            raise ValueError("an attachment point needs one single bond, to an atom")
    return [atom.GetIdx() for atom in found]


def rooted(mol: Chem.Mol, atom: int, random: np.random.Generator | None = None) -> str:
    """A text that begins with an atom; always the same one without `random`. Without the numbers of
    the dummies."""
    plain = Chem.Mol(mol)
    for one in plain.GetAtoms():
        one.SetAtomMapNum(0)
        if one.GetAtomicNum() == 0:
            one.SetIsotope(0)
    if random is None:
        return str(Chem.MolToSmiles(plain, rootedAtAtom=atom))
    rdBase.SeedRandomNumberGenerator(int(random.integers(1, 2**31 - 1)))
    return str(Chem.MolToSmiles(plain, rootedAtAtom=atom, canonical=False, doRandom=True))


def ending_at(
    mol: Chem.Mol,
    dummy: int,
    start: int | None = None,
    random: np.random.Generator | None = None,
) -> str | None:
    """A text that ends with a dummy, which is left out, and begins with `start`, if given; None
    where none was found. Always the same one without `random`."""
    random = np.random.default_rng(0) if random is None else random
    others = [a for a in range(mol.GetNumAtoms()) if a != dummy]
    for _ in range(SPELLINGS):
        text = rooted(mol, int(random.choice(others)) if start is None else start, random)
        dummies = list(DUMMY.finditer(text))
        # of a linker, which begins with the other dummy
        if dummies[-1].end() == len(text) and len(dummies) == 1 + (start is not None):
            return text[: dummies[-1].start()]
    return None


def after_dummy(text: str) -> str | None:
    """What follows the dummy that a text begins with; None where a bond is written after it."""
    rest = DUMMY.sub("", text, count=1)
    return None if rest[:1] in ("=", "#", "-", ":", "/", "\\", "(", "") else rest


def open_rings(text: str) -> frozenset[int]:
    """The numbers of the ring bonds that are open at the end of a text."""
    found: frozenset[int] = frozenset()
    for token in _TOKEN.findall(text):
        if token.isdigit() or token[0] == "%":
            found ^= {int(token.lstrip("%"))}
    return found


def renumbered(text: str, taken: frozenset[int]) -> str | None:
    """A whole text with other numbers of its ring bonds than those taken; None where there are too
    few."""
    new: dict[int, int] = {}
    out = []
    for token in _TOKEN.findall(text):
        if not (token.isdigit() or token[0] == "%"):
            out.append(token)
            continue
        old = int(token.lstrip("%"))
        if old in new:
            number = new.pop(old)
        else:
            used = taken | set(new.values())
            number = next((n for n in range(1, _LAST_DIGIT + 1) if n not in used), 0)
            if not number:
                return None
            new[old] = number
        out.append(str(number) if number < 10 else f"%{number}")
    return "".join(out)

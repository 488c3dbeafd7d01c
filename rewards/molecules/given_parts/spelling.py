"""Texts of molecules in which an attachment point is where the text needs it.

An attachment point is a dummy atom with one single bond, such as `[*:1]`. What RDKit writes after
it, if it writes the dummy first, is a text that goes on from any atom.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
from rdkit import Chem

from sequence_tutor.rewards.molecules.identity import read
from sequence_tutor.rewards.molecules.molecule import tokens_of

# A dummy atom in a text of RDKit.
DUMMY = re.compile(r"\[\d*\*(?::\d+)?\]|\*")
# The greatest number of a ring bond.
_LAST_DIGIT = 99
# How the dummy is written that is to be at the end of a text.
MARK = "[1*]"


def read_part(smiles: str, what: str) -> tuple[Chem.Mol, list[int]]:
    """A given part and its dummy atoms. Raises ValueError with one sentence about `what` it is, for
    no SMILES, and for a dummy that isn't bonded by one single bond to another atom."""
    mol, reason = read(smiles)
    if mol is None:
        raise ValueError(f"{what} {smiles!r} is not a SMILES: {reason}")
    found = [atom for atom in mol.GetAtoms() if atom.GetAtomicNum() == 0]
    for atom in found:
        bonds = list(atom.GetBonds())
        single = len(bonds) == 1 and bonds[0].GetBondType() == Chem.BondType.SINGLE
        if not single or bonds[0].GetOtherAtom(atom).GetAtomicNum() == 0:
            raise ValueError(
                f"{what} {smiles!r}: an attachment point needs one single bond, to an atom"
            )
    return mol, [atom.GetIdx() for atom in found]


def rooted(
    mol: Chem.Mol, atom: int, random: np.random.Generator | None = None, marked: int | None = None
) -> str:
    """A text that begins with an atom; always the same one without `random`. Without the numbers of
    the dummies, but that `marked` is written as MARK.

    RDKit's own random texts with a root don't follow a seed, so the atoms are put into another
    order instead.
    """
    plain = Chem.Mol(mol)
    for one in plain.GetAtoms():
        one.SetAtomMapNum(0)
        if one.GetAtomicNum() == 0:
            one.SetIsotope(int(one.GetIdx() == marked))
    if random is None:
        return str(Chem.MolToSmiles(plain, rootedAtAtom=atom))
    order = random.permutation(plain.GetNumAtoms())
    mixed = Chem.RenumberAtoms(plain, order.tolist())
    place = int(np.flatnonzero(order == atom)[0])
    return str(Chem.MolToSmiles(mixed, rootedAtAtom=place, canonical=False))


def ending_at(
    mol: Chem.Mol,
    dummy: int,
    start: int | None = None,
    random: np.random.Generator | None = None,
) -> str:
    """A text that ends with a dummy, which is left out, and begins with `start`, by default another
    atom. Always the same one without `random`."""
    random = np.random.default_rng(0) if random is None else random
    others = [a for a in range(mol.GetNumAtoms()) if a != dummy]
    root = int(random.choice(others)) if start is None else start
    text = _branch_last(rooted(mol, root, random, marked=dummy), MARK)
    return text.removesuffix(MARK)


@dataclass
class _Atom:
    """An atom of a text, with what is bonded to it in the text's order."""

    text: str
    """Its bond, its symbol and its ring bonds."""
    children: list[_Atom] = field(default_factory=list)
    """The atoms after it: those of its branches, and the next of its chain."""


def _branch_last(text: str, mark: str) -> str:
    """The same molecule with the path from the first atom to the marked one as the main chain.

    RDKit puts branches into an order of its own. An atom's branches may stand in any order; where
    two change places at a chiral atom, its `@` becomes `@@`.
    """
    root = _tree(text)
    _put_last(root, mark)
    return _written(root)


def _tree(text: str) -> _Atom:
    root = _Atom("")
    at, stack, bond = root, [], ""
    for token in tokens_of(text):
        if token == "(":
            stack.append(at)
        elif token == ")":
            at = stack.pop()
        elif token in "-=#:/\\$":
            bond += token
        elif token.isdigit() or token[0] == "%":
            at.text += bond + token
            bond = ""
        else:
            at.children.append(_Atom(bond + token))
            at, bond = at.children[-1], ""
    return root.children[0]


def _put_last(atom: _Atom, mark: str) -> bool:
    """Put the child with the mark last, all the way down; returns whether there is one."""
    if mark in atom.text:
        return True
    for i, child in enumerate(atom.children):
        if _put_last(child, mark):
            atom.children.append(atom.children.pop(i))
            if (len(atom.children) - 1 - i) % 2 and "@" in atom.text:
                one, two = ("@@", "@") if "@@" in atom.text else ("@", "@@")
                atom.text = atom.text.replace(one, two)
            return True
    return False


def _written(atom: _Atom) -> str:
    *branches, last = [_written(child) for child in atom.children] or [""]
    return atom.text + "".join(f"({branch})" for branch in branches) + last


def after_dummy(text: str) -> str | None:
    """What follows the dummy that a text begins with; None where a bond is written after it."""
    rest = DUMMY.sub("", text, count=1)
    return None if rest[:1] in ("=", "#", "-", ":", "/", "\\", "(", "") else rest


def open_rings(text: str) -> frozenset[int]:
    """The numbers of the ring bonds that are open at the end of a text."""
    found: frozenset[int] = frozenset()
    for token in tokens_of(text):
        if token.isdigit() or token[0] == "%":
            found ^= {int(token.lstrip("%"))}
    return found


def renumbered(text: str, taken: frozenset[int]) -> str | None:
    """A whole text with other numbers of its ring bonds than those taken; None where there are too
    few."""
    new: dict[int, int] = {}
    out = []
    for token in tokens_of(text):
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

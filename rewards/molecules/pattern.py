"""SMARTS patterns, and an error for those that match nothing because they were written as SMILES.

RDKit keeps molecules in one form: aromatic, hydrogens as counts, nitro groups with charges. It
doesn't convert patterns to that form, so `OC1=CC=CC=C1` for phenol would match no molecule.
"""

from __future__ import annotations

import re
from functools import lru_cache

from rdkit import Chem, rdBase

# Atoms that need no brackets.
_BARE = re.compile(r"Cl|Br|[BCNOPSFIbcnops*]")
# Atoms of a nitro group without further conditions.
_PLAIN_N, _PLAIN_O = ("N", "[N]", "[#7]"), ("O", "[O]", "[#8]")
# Text that occurs in SMARTS and hardly in SMILES; such a pattern isn't checked as a SMILES.
_SMARTS_ALONE = re.compile(r"\[#|:(?![0-9]+\])")


@lru_cache(maxsize=256)
def pattern_of(smarts: str) -> Chem.Mol:
    """The query of a SMARTS, in which hydrogen atoms become conditions on their neighbours. Raises
    ValueError with one sentence where it isn't a pattern, or can't match anything."""
    with rdBase.BlockLogs():
        pattern = Chem.MolFromSmarts(smarts)
        if pattern is None or not pattern.GetNumAtoms():
            raise ValueError(f"smarts = {smarts!r} is not a valid pattern")
        if len(smarts.split()) > 1:
            raise ValueError(
                f"smarts = {smarts!r} has a blank, and text after it isn't part of the pattern"
            )
        _check_form(smarts, pattern)
        return Chem.MergeQueryHs(pattern)


def _check_form(smarts: str, pattern: Chem.Mol) -> None:
    """Raise ValueError for a pattern that is also a SMILES and doesn't match its own molecule."""
    molecule = None if _SMARTS_ALONE.search(smarts) else Chem.MolFromSmiles(smarts)
    if molecule is not None:
        for atom in molecule.GetAtoms():
            atom.SetAtomMapNum(0)  # RemoveHs keeps a hydrogen with a map number
        molecule = Chem.RemoveHs(molecule)
        if not molecule.HasSubstructMatch(pattern):
            suggested = _in_rdkits_form(molecule, pattern, smarts)
            raise ValueError(
                f"smarts = {smarts!r} reads as a SMILES but doesn't match its own molecule: "
                "molecules are aromatic where they can be, have no hydrogen atoms, and charges in "
                f"nitro groups; write {suggested!r}"
            )
    if any(_is_nitro_without_charges(atom) for atom in pattern.GetAtoms()):
        raise ValueError(
            f"smarts = {smarts!r} matches nothing: molecules have nitro groups with charges, so "
            "write [N+](=O)[O-] in place of N(=O)=O"
        )


def _in_rdkits_form(molecule: Chem.Mol, pattern: Chem.Mol, smarts: str) -> str:
    """A pattern that matches the molecule. Where the text names hydrogens at an atom, it requires
    at least that number of them."""
    written = Chem.MolFromSmiles(smarts, sanitize=False)
    symbols = [atom.GetSmarts() for atom in molecule.GetAtoms()]
    heavy = [atom for atom in written.GetAtoms() if not _is_hydrogen(atom)]
    if len(heavy) == len(symbols):  # without hydrogens, the atoms are in the same order
        for i, atom in enumerate(heavy):
            named = sum(map(_is_hydrogen, atom.GetNeighbors()))
            if named or not atom.GetNoImplicit():
                own = re.sub(r"H[0-9]*", "", symbols[i].strip("[]"))
                own += "".join(f";!H{k}" for k in range(named))
                symbols[i] = own if _BARE.fullmatch(own) else f"[{own}]"
    everything = range(molecule.GetNumAtoms())
    text = Chem.MolFragmentToSmiles(molecule, list(everything), atomSymbols=symbols)
    found = Chem.MolFromSmarts(text)
    if found is not None and molecule.HasSubstructMatch(found):
        return str(text)
    return str(Chem.MolToSmarts(molecule))


def _is_hydrogen(atom: Chem.Atom) -> bool:
    return bool(atom.GetAtomicNum() == 1 and not atom.GetIsotope())


def _is_nitro_without_charges(atom: Chem.Atom) -> bool:
    """Whether it is a plain N with two plain O, each by a double bond."""
    if atom.GetSmarts() not in _PLAIN_N:
        return False
    oxygens = [
        bond.GetOtherAtom(atom).GetSmarts() in _PLAIN_O
        for bond in atom.GetBonds()
        if bond.GetSmarts() == "="
    ]
    return sum(oxygens) == 2

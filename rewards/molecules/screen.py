"""A quick test by elements and rare bonds for SMARTS patterns that a molecule can't match.

A match maps the atoms of a pattern to different atoms of the molecule, and its bonds to bonds
between these. So there is no match

- where n atoms of the pattern match certain elements only, and the molecule has fewer of these;
- where the pattern has an atom or bond of a rare kind, such as a triple bond, and the molecule
  has none.

What an atom or bond of a pattern matches is read from RDKit's description of its query. A part that
isn't understood (a negation, a recursive SMARTS) counts as "anything", which may cost time but
never loses a match.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

# Attribute -> all values that an atom or bond matches; a missing attribute may have any value.
Possible = dict[str, frozenset[int]]

_ATTRIBUTES = {
    "AtomType": "element",
    "AtomAtomicNum": "element",
    "AtomFormalCharge": "charge",
    "AtomIsotope": "isotope",
    "BondOrder": "order",
}
_EQUALS = re.compile(r"(\w+) (-?\d+) = val")
_DOUBLE, _TRIPLE = int(Chem.BondType.DOUBLE), int(Chem.BondType.TRIPLE)
_CARBON, _NITROGEN = 6, 7
# Atoms of an element are counted as 0, 1 or 2 for more: exact counts would exclude little more.
_SEVERAL = 2
_NUMBER = re.compile(r"\d+")
_ELEMENT = re.compile(r"([A-Z][a-z]?|\*)(\d?)")


def possible(description: str) -> Possible:
    """What a query matches, from its `DescribeQuery`: a tree, one node per line, indented."""
    return _node(description.splitlines())


def _node(lines: list[str]) -> Possible:
    """What a node matches; lines: the node, then its descendants."""
    if not lines:
        return {}
    head = lines[0].strip()
    if (leaf := _EQUALS.fullmatch(head)) and leaf[1] in _ATTRIBUTES:
        value = int(leaf[2])
        if leaf[1] == "AtomType":  # the atomic number, plus 1000 for an aromatic atom
            value %= 1000
        return {_ATTRIBUTES[leaf[1]]: frozenset([value])}
    both = head in ("AtomAnd", "BondAnd")
    if not both and head not in ("AtomOr", "BondOr"):
        return {}
    depth = [len(line) - len(line.lstrip()) for line in lines]
    starts = [i for i in range(1, len(lines)) if depth[i] == depth[1]]
    children = [_node(lines[i:j]) for i, j in pairwise([*starts, len(lines)])]
    found: Possible = {}
    for name in set(_ATTRIBUTES.values()):
        values = [child[name] for child in children if name in child]
        if both and values:
            found[name] = frozenset.intersection(*values)
        elif values and len(values) == len(children):
            found[name] = frozenset.union(*values)
    return found


def _is(what: Possible, attribute: str, *values: int) -> bool:
    return attribute in what and what[attribute] <= set(values)


def _differs(what: Possible, attribute: str) -> bool:
    return attribute in what and 0 not in what[attribute]


@dataclass(frozen=True)
class _Bond:
    """A bond of a pattern and its two atoms."""

    itself: Possible
    ends: tuple[Possible, Possible]

    def elements(self, *values: int) -> int:
        """Number of its atoms that match these elements only."""
        return sum(_is(end, "element", *values) for end in self.ends)


# Kinds of atoms and bonds that are rare in drug-like molecules, needed by many patterns, and found
# quickly: SMARTS -> whether an atom or bond of a pattern matches this kind only.
_ATOM_KINDS: dict[str, Callable[[Possible], bool]] = {
    "[!+0]": lambda atom: _differs(atom, "charge"),
    "[!0*]": lambda atom: _differs(atom, "isotope"),
}
_BOND_KINDS: dict[str, Callable[[_Bond], bool]] = {
    "*#*": lambda bond: _is(bond.itself, "order", _TRIPLE),
    "[#6]=[#6]": lambda bond: _is(bond.itself, "order", _DOUBLE) and bond.elements(_CARBON) == 2,
    "*=[#7]": lambda bond: _is(bond.itself, "order", _DOUBLE) and bond.elements(_NITROGEN) > 0,
    "[#7]~[#7]": lambda bond: bond.elements(_NITROGEN) == 2,
}
_KINDS = tuple(Chem.MolFromSmarts(smarts) for smarts in (*_ATOM_KINDS, *_BOND_KINDS))


class Content(NamedTuple):
    """Elements and rare kinds of a molecule, the same for many molecules."""

    formula: str
    """Molecular formula with 2 for every number above 1."""
    kinds: tuple[bool, ...]
    """For each of _KINDS, whether the molecule has such an atom or bond."""

    def elements(self) -> dict[str, int]:
        """Symbol -> 1, or 2 for several atoms."""
        return {symbol: int(n or 1) for symbol, n in _ELEMENT.findall(self.formula)}


def content(mol: Chem.Mol) -> Content:
    """The content of a molecule."""
    # the formula also counts hydrogens that aren't atoms of the molecule, which excludes less
    formula = _NUMBER.sub(str(_SEVERAL), rdMolDescriptors.CalcMolFormula(mol))
    return Content(formula, tuple([mol.HasSubstructMatch(kind) for kind in _KINDS]))


class Needs:
    """The elements and rare kinds that a molecule must have for a pattern to match it."""

    def __init__(self, pattern: Chem.Mol) -> None:
        atoms = [possible(atom.DescribeQuery()) for atom in pattern.GetAtoms()]
        bonds = [
            _Bond(
                possible(bond.DescribeQuery()),
                (atoms[bond.GetBeginAtomIdx()], atoms[bond.GetEndAtomIdx()]),
            )
            for bond in pattern.GetBonds()
        ]
        self._kinds = (
            *(any(map(kind, atoms)) for kind in _ATOM_KINDS.values()),
            *(any(map(kind, bonds)) for kind in _BOND_KINDS.values()),
        )
        symbol = Chem.GetPeriodicTable().GetElementSymbol
        taken = [atom["element"] for atom in atoms if "element" in atom]
        # elements, and the number of the pattern's atoms that match only these
        self._elements = [
            (tuple(map(symbol, own)), min(sum(other <= own for other in taken), _SEVERAL))
            for own in set(taken)
        ]

    def met(self, elements: Mapping[str, int], kinds: Sequence[bool]) -> bool:
        """Whether a molecule with this `Content` may match; False only where it can't."""
        if any(need and not has for need, has in zip(self._kinds, kinds, strict=True)):
            return False
        return all(
            sum(elements.get(symbol, 0) for symbol in symbols) >= n for symbols, n in self._elements
        )

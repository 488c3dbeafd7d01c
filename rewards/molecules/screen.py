"""Which SMARTS patterns a molecule can't have, told from what it is made of.

A match sends the atoms of a pattern to different atoms of the molecule, and its bonds to bonds
between those. So there is none

- where n atoms of the pattern take certain elements only, and the molecule has fewer of these;
- where the pattern has an atom or bond of a rare kind, such as a triple bond, and the molecule
  has none.

What an atom or bond of a pattern takes is read from RDKit's description of its query. Whatever is
not understood there (a negation, a recursive SMARTS) is taken for "anything", so a misreading
costs time and not a match.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

# By attribute, the only values that an atom or bond takes; an attribute that isn't there may have
# any value.
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
# Atoms of an element are counted as none, one or several: finer counts would exclude little more.
_SEVERAL = 2
_NUMBER = re.compile(r"\d+")
_ELEMENT = re.compile(r"([A-Z][a-z]?|\*)(\d?)")


def possible(description: str) -> Possible:
    """What a query takes, from its `DescribeQuery`: a tree, a node a line, indented by depth."""
    return _node(description.splitlines())


def _node(lines: list[str]) -> Possible:
    """lines: a node, and below it its descendants."""
    if not lines:
        return {}
    head = lines[0].strip()
    if (leaf := _EQUALS.fullmatch(head)) and leaf[1] in _ATTRIBUTES:
        value = int(leaf[2])
        if leaf[1] == "AtomType":  # the atomic number, and 1000 more for an aromatic atom
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
    """A bond of a pattern: itself and its ends."""

    itself: Possible
    ends: tuple[Possible, Possible]

    def elements(self, *values: int) -> int:
        """How many of its ends take these elements only."""
        return sum(_is(end, "element", *values) for end in self.ends)


# Rare in drug-like molecules, needed by many patterns, and found quickly: a SMARTS each, and
# whether an atom or bond of a pattern can be nothing else.
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
    """What a molecule is made of, equal for many. formula: its own, with 2 for any number above 1;
    kinds: whether it has each rare kind of atom and bond."""

    formula: str
    """Molecular formula with 2 for every number above 1."""
    kinds: tuple[bool, ...]
    """For each of _KINDS, whether the molecule has such an atom or bond."""

    def elements(self) -> dict[str, int]:
        """How many atoms of each there are: one, or 2 for several."""
        return {symbol: int(n or 1) for symbol, n in _ELEMENT.findall(self.formula)}


def content(mol: Chem.Mol) -> Content:
    """See `Content`."""
    # the formula has the hydrogens that are no atoms of the molecule too, which excludes less
    formula = _NUMBER.sub(str(_SEVERAL), rdMolDescriptors.CalcMolFormula(mol))
    return Content(formula, tuple([mol.HasSubstructMatch(kind) for kind in _KINDS]))


class Needs:
    """What a molecule must have for a pattern to match it."""

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
        # atoms of any of these elements, and how many the pattern has that take nothing else
        self._elements = [
            (tuple(map(symbol, own)), min(sum(other <= own for other in taken), _SEVERAL))
            for own in set(taken)
        ]

    def met(self, elements: Mapping[str, int], kinds: Sequence[bool]) -> bool:
        """Whether a molecule of such `Content` may match; False only where it can't."""
        if any(need and not has for need, has in zip(self._kinds, kinds, strict=True)):
            return False
        return all(
            sum(elements.get(symbol, 0) for symbol in symbols) >= n for symbols, n in self._elements
        )

"""Reactions by which a molecule could be made: patterns that take it apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from rdkit import Chem, rdBase
from rdkit.Chem import rdChemReactions

from sequence_tutor.rewards.molecules.measures.substructure import MOST_MATCHES
from sequence_tutor.rewards.molecules.molecule import Molecule, parse
from sequence_tutor.rewards.registry import component, unknown

VALUES = ("all", "share")
# Property in which RDKit keeps, at an atom of a product, the atom of the molecule that it was.
_ORIGIN = "react_atom_idx"
# Parts of a molecule that one reaction gives: its atoms, by their numbers in the molecule.
Parts = list[frozenset[int]]


@lru_cache(maxsize=1024)
def _reaction(smarts: str) -> Any:
    """The reaction of a SMARTS. Raises ValueError with one sentence unless it takes a molecule
    apart."""
    with rdBase.BlockLogs():
        try:
            found = rdChemReactions.ReactionFromSmarts(smarts)
            _, errors = found.Validate(silent=True)
        except (ValueError, RuntimeError):
            errors = 1
    if errors:
        raise ValueError(f"{smarts!r} in reactions is not a reaction SMARTS that RDKit can read")
    given, made = found.GetNumReactantTemplates(), found.GetNumProductTemplates()
    if given != 1 or made < 2:
        raise ValueError(
            f"{smarts!r} in reactions makes {made} from {given}: write it backwards, with one "
            "molecule before >> and its parts, two or more, after it"
        )
    found.Initialize()
    return found


class _Scaffold(NamedTuple):
    """A scaffold as a pattern, with the points at which something is attached."""

    pattern: Chem.Mol
    """The pattern; at a point it has an atom that stands for any."""
    points: tuple[tuple[int, int], ...]
    """Atom of the scaffold, and the atom that stands for any, of each point, by their numbers in
    the pattern; in the order of the points' labels."""


@lru_cache(maxsize=64)
def _scaffold(smiles: str) -> _Scaffold:
    """Raises ValueError with one sentence."""
    mol = parse(smiles)
    if mol is None:
        raise ValueError(f"scaffold = {smiles!r} is not a valid molecule")
    points = []
    for atom in mol.GetAtoms():
        if atom.GetAtomicNum() == 0:
            if atom.GetDegree() != 1:
                raise ValueError(f"scaffold = {smiles!r}: each * must have one neighbour")
            [other] = atom.GetNeighbors()
            points.append((atom.GetAtomMapNum(), other.GetIdx(), atom.GetIdx()))
    if not points or len(points) == mol.GetNumAtoms():
        raise ValueError(
            f"scaffold = {smiles!r} needs a * where something is attached, such as [*:1]c1ccccc1"
        )
    rule: Any = Chem.AdjustQueryParameters.NoAdjustments()
    rule.makeDummiesQueries = True
    for atom in mol.GetAtoms():
        atom.SetAtomMapNum(0)
    pattern = Chem.AdjustQueryProperties(mol, rule)
    return _Scaffold(pattern, tuple((inside, outside) for _, inside, outside in sorted(points)))


def _groups(reactions: Sequence[str] | Sequence[list[str]]) -> tuple[tuple[str, ...], ...]:
    """The reactions of each point, or one group for all points."""
    if any(isinstance(one, list) for one in reactions):
        return tuple(tuple(group) for group in reactions)
    return (tuple(str(one) for one in reactions),)


def _outcomes(mol: Chem.Mol, smarts: Sequence[str]) -> Iterator[Parts]:
    """All ways in which the reactions take the molecule apart. A way in which two parts share an
    atom isn't one: it opens a ring."""
    for one in smarts:
        for products in _reaction(one).RunReactants((mol,), maxProducts=MOST_MATCHES):
            parts = [
                frozenset(a.GetIntProp(_ORIGIN) for a in part.GetAtoms() if a.HasProp(_ORIGIN))
                for part in products
            ]
            parts = [part for part in parts if part]
            if len(parts) > 1 and len(frozenset().union(*parts)) == sum(map(len, parts)):
                yield parts


def _cuts(outcomes: Sequence[Parts], one: int, other: int) -> bool:
    """Whether the two atoms end up in different parts."""
    for parts in outcomes:
        first = next((part for part in parts if one in part), None)
        if first is not None and other not in first and any(other in part for part in parts):
            return True
    return False


def _check_reaction(
    reactions: list[str] | list[list[str]], scaffold: str | None = None, value: str = "all"
) -> None:
    groups = _groups(reactions)
    if not reactions or not all(groups):
        raise ValueError("reactions needs at least one reaction SMARTS")
    for smarts in {one for group in groups for one in group}:
        _reaction(smarts)
    if value not in VALUES:
        raise ValueError(unknown("value", value, VALUES))
    if scaffold is None:
        if value != "all" or any(isinstance(one, list) for one in reactions):
            raise ValueError('value = "share" and lists for each point need a scaffold')
        return
    points = len(_scaffold(scaffold).points)
    if any(isinstance(one, list) for one in reactions) and len(groups) != points:
        raise ValueError(f"reactions has {len(groups)} lists, and scaffold has {points} points")


@component(
    "reaction",
    domain="molecules",
    bounded=True,
    check=_check_reaction,
    reference="Fialkova et al. 2022, https://doi.org/10.1021/acs.jcim.1c00469",
    example='reactions = ["[C:1](=[O:2])-;!@[NX3:3]>>[C:1](=[O:2])O.[N:3]"]',
)
def reaction(
    molecule: Molecule,
    *,
    reactions: list[str] | list[list[str]],
    scaffold: str | None = None,
    value: str = "all",
) -> float:
    """1 where one of the reactions could make the molecule, else 0; rings aren't made.

    With a scaffold: 1 where a reaction could make each bond between it and what is attached to it.
    Where the scaffold occurs in several ways the best counts, and 0 where it doesn't occur.

    reactions: reaction SMARTS written backwards, MOLECULE>>PART.PART; with a scaffold also a list
    for each point of it.
    scaffold: SMILES with a * at each point, such as "[*:1]c1ccc(C[*:2])cc1"; [*:1] is the first.
    value: "all", or "share" for the share of the bonds that a reaction could make.
    """
    groups = _groups(reactions)
    if scaffold is None:
        return float(next(_outcomes(molecule.mol, groups[0]), None) is not None)
    pattern, points = _scaffold(scaffold)
    found = molecule.mol.GetSubstructMatches(pattern, uniquify=False, maxMatches=MOST_MATCHES)
    if not found:
        return 0.0
    outcomes = [list(_outcomes(molecule.mol, group)) for group in groups]
    if len(outcomes) == 1:
        outcomes *= len(points)
    best = 0.0
    for atoms in found:
        cut = sum(
            _cuts(ways, atoms[inside], atoms[outside])
            for ways, (inside, outside) in zip(outcomes, points, strict=True)
        )
        best = max(best, cut / len(points))
    return best if value == "share" else float(best == 1.0)

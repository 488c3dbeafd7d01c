"""Scaffolds and ring systems of a molecule."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from rdkit import Chem
from rdkit.Chem.Scaffolds import MurckoScaffold

from sequence_tutor.rewards.file_data import FileData
from sequence_tutor.rewards.molecules.measures.similarity import as_tuple, references
from sequence_tutor.rewards.molecules.molecule import Molecule
from sequence_tutor.rewards.registry import component, unknown

LINEAR = "linear"  # the name in a file of a molecule without rings
UNSEEN = 100.0  # surprise of a ring system that the file doesn't have, nats
METHODS: dict[str, Callable[[Iterable[float]], float]] = {"total": sum, "max": max}


def _smiles(mol: Chem.Mol, generic: bool) -> str:
    """Canonical SMILES without stereochemistry; `generic` makes all atoms carbon and all bonds
    single."""
    if generic:
        mol = MurckoScaffold.MakeScaffoldGeneric(mol)  # type: ignore[no-untyped-call]
    return str(Chem.MolToSmiles(mol, isomericSmiles=False))


def scaffold(mol: Chem.Mol, generic: bool = False) -> str:
    """The Murcko scaffold: rings, what joins them, and atoms at them by double bonds; "" without
    rings."""
    return _smiles(MurckoScaffold.GetScaffoldForMol(mol), generic)  # type: ignore[no-untyped-call]


@lru_cache(maxsize=64)
def _scaffolds(smiles: tuple[str, ...], generic: bool) -> frozenset[str]:
    found = {one.smiles: scaffold(one.mol, generic) for one in references(smiles)}
    for text, own in found.items():
        if not own:
            raise ValueError(f"smiles = {text!r} has no ring, so it has no scaffold")
    return frozenset(found.values())


def _check_scaffold(smiles: str | list[str], generic: bool = False) -> None:
    _scaffolds(as_tuple(smiles), generic)


@component(
    "scaffold_match",
    domain="molecules",
    bounded=True,
    check=_check_scaffold,
    reference="Bemis and Murcko 1996, https://doi.org/10.1021/jm9602928",
    example='smiles = "O=C(Nc1ccccc1)c1ccncc1", generic = true',
)
def scaffold_match(molecule: Molecule, *, smiles: str | list[str], generic: bool = False) -> float:
    """1 where the Murcko scaffold is that of the reference, else 0; stereochemistry isn't compared.

    smiles: the reference, a whole molecule or a scaffold; of a list, one is enough.
    generic: compare scaffolds in which all atoms are carbon and all bonds single.
    """
    return float(scaffold(molecule.mol, generic) in _scaffolds(as_tuple(smiles), generic))


def _systems(mol: Chem.Mol) -> list[set[int]]:
    """Atoms of the ring systems: rings that share an atom are one system."""
    systems: list[set[int]] = []
    for ring in mol.GetRingInfo().AtomRings():
        joined = set(ring).union(*(one for one in systems if not one.isdisjoint(ring)))
        systems = [one for one in systems if one.isdisjoint(ring)] + [joined]
    return systems


def _cut_out(mol: Chem.Mol, system: set[int]) -> Chem.Mol:
    """The ring system with the atoms at it by double bonds; hydrogen is where the rest was."""
    double = (b for i in system for b in mol.GetAtomWithIdx(i).GetBonds())
    kept = system.union(
        i
        for bond in double
        if bond.GetBondType() == Chem.BondType.DOUBLE
        for i in (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
    )
    cut = Chem.RWMol(mol)
    for bond in mol.GetBonds():
        ends = {bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()}
        if len(inside := ends & kept) == 1:
            atom = cut.GetAtomWithIdx(inside.pop())
            # of these RDKit doesn't work out the hydrogen atoms by itself
            if atom.GetNoImplicit() or (atom.GetIsAromatic() and atom.GetAtomicNum() != 6):
                atom.SetNumExplicitHs(atom.GetNumExplicitHs() + 1)
    cut.BeginBatchEdit()
    for i in range(mol.GetNumAtoms()):
        if i not in kept:
            cut.RemoveAtom(i)
    cut.CommitBatchEdit()
    for atom in cut.GetAtoms():
        atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
        atom.SetAtomMapNum(0)
    Chem.SanitizeMol(cut)
    return cut.GetMol()


def ring_systems(mol: Chem.Mol, generic: bool = False) -> list[str]:
    """SMILES of all ring systems, repeated ones too; ["linear"] without rings."""
    return [_smiles(_cut_out(mol, one), generic) for one in _systems(mol)] or [LINEAR]


def _read_surprises(path: str, generic: bool) -> Mapping[str, float]:
    """Ring system -> its surprise, from a file. Raises ValueError with one sentence."""
    key = "generic_rings" if generic else "rings"
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))[key]
        numbers = {str(ring): float(nats) for ring, nats in found.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f'it must be JSON {{"{key}": {{SMILES: number}}}}: {error}') from error
    if not all(0 <= nats < math.inf for nats in numbers.values()):
        raise ValueError(f"{key} has a number that is negative or not finite")
    return numbers


_SURPRISES = FileData(_read_surprises)


def _check_rings(file: str, method: str = "total", generic: bool = False) -> None:
    if method not in METHODS:
        raise ValueError(unknown("method", method, METHODS))
    _SURPRISES.refresh(file, generic)


@component(
    "ring_precedence",
    domain="molecules",
    least=0.0,
    check=_check_rings,
    example='file = "rings.json", transform = { type = "reverse_sigmoid", low = 5, high = 20 }',
)
def ring_precedence(
    molecule: Molecule, *, file: str, method: str = "total", generic: bool = False
) -> float:
    """How rare the ring systems are: -ln of their share among those of a database, nats.

    An unseen ring system counts 100. A molecule without rings counts as the ring system
    "linear".

    file: JSON with `rings` and `generic_rings`, each an object of SMILES and nats.
    method: "total", the sum over all ring systems, or "max", the rarest one.
    generic: compare ring systems in which all atoms are carbon and all bonds single.
    """
    known = _SURPRISES.get(file, generic)
    return float(METHODS[method](known.get(r, UNSEEN) for r in ring_systems(molecule.mol, generic)))

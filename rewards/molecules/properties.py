"""Components for properties of one molecule; each takes a `Molecule` and returns a float."""

from __future__ import annotations

from functools import lru_cache

from rdkit import DataStructs
from rdkit.Chem import Descriptors, rdMolDescriptors

from sequence_tutor.rewards.molecules.molecule import Molecule, parse
from sequence_tutor.rewards.molecules.pattern import pattern_of
from sequence_tutor.rewards.registry import component

# means and standard deviations over ZINC250k, from the literature on penalised logP
_LOGP = (2.4570953396190123, 1.434324401111988)
_SA = (-3.0525811293166134, 0.8335207024513095)
_RING = (-0.0485696876403053, 0.2860212110245455)


@component("validity", domain="molecules", bounded=True)
def validity(molecule: Molecule) -> float:
    """1, since components are called for valid sequences only."""
    return 1.0


@component("logp", domain="molecules")
def logp(molecule: Molecule) -> float:
    """Crippen's logP."""
    return molecule.logp


@component("qed", domain="molecules", bounded=True)
def qed(molecule: Molecule) -> float:
    """Drug-likeness, 0 to 1."""
    return molecule.qed


@component("sa", domain="molecules", least=1.0, most=10.0)
def sa(molecule: Molecule) -> float:
    """Synthetic accessibility, 1 easy to 10 hard."""
    return molecule.sa


@component("ring_penalty", domain="molecules", most=0.0)
def ring_penalty(molecule: Molecule) -> float:
    """-max(0, largest ring - 6)."""
    return molecule.ring_penalty


@component("penalised_logp", domain="molecules")
def penalised_logp(molecule: Molecule, normalized: bool = False) -> float:
    """logP - SA + ring penalty (Kusner et al. 2017).

    normalized: from each term subtract its mean and divide by its standard deviation on ZINC250k.
    """
    parts = (molecule.logp, -molecule.sa, molecule.ring_penalty)
    if not normalized:
        return sum(parts)
    return sum((x - m) / s for x, (m, s) in zip(parts, (_LOGP, _SA, _RING), strict=True))


@component("molecular_weight", domain="molecules", least=0.0)
def molecular_weight(molecule: Molecule) -> float:
    """Average molecular weight, g/mol."""
    return float(Descriptors.MolWt(molecule.mol))  # type: ignore[attr-defined]


@component("tpsa", domain="molecules", least=0.0)
def tpsa(molecule: Molecule) -> float:
    """Topological polar surface area, square angstrom."""
    return molecule.tpsa


@component("hbd", domain="molecules", least=0.0)
def hbd(molecule: Molecule) -> float:
    """Hydrogen bond donors."""
    return float(rdMolDescriptors.CalcNumHBD(molecule.mol))


@component("hba", domain="molecules", least=0.0)
def hba(molecule: Molecule) -> float:
    """Hydrogen bond acceptors."""
    return float(rdMolDescriptors.CalcNumHBA(molecule.mol))


@component("rotatable_bonds", domain="molecules", least=0.0)
def rotatable_bonds(molecule: Molecule) -> float:
    """Rotatable bonds."""
    return float(rdMolDescriptors.CalcNumRotatableBonds(molecule.mol))


@component("ring_count", domain="molecules", least=0.0)
def ring_count(molecule: Molecule) -> float:
    """Rings."""
    return float(rdMolDescriptors.CalcNumRings(molecule.mol))


@component("aromatic_ring_count", domain="molecules", least=0.0)
def aromatic_ring_count(molecule: Molecule) -> float:
    """Aromatic rings."""
    return float(rdMolDescriptors.CalcNumAromaticRings(molecule.mol))


@lru_cache(maxsize=256)
def _reference(smiles: str) -> Molecule:
    mol = parse(smiles)
    if mol is None:
        blank = " alone, without blanks, a name or an extension" if len(smiles.split()) > 1 else ""
        raise ValueError(f"smiles = {smiles!r} is not a valid molecule{blank}")
    return Molecule(smiles, mol)


def _check_similarity(smiles: str, radius: int = 2, counts: bool = True) -> None:
    _reference(smiles)
    if radius < 0:
        raise ValueError(f"radius must not be negative, got {radius}")


@component("similarity", domain="molecules", bounded=True, check=_check_similarity)
def similarity(molecule: Molecule, *, smiles: str, radius: int = 2, counts: bool = True) -> float:
    """Tanimoto similarity of Morgan fingerprints to `smiles`; radius 2 is ECFP4.

    counts: compare how often each environment occurs; else only whether it occurs (2048 bits).
    """
    other = _reference(smiles).fingerprint(radius, counts)
    return float(DataStructs.TanimotoSimilarity(molecule.fingerprint(radius, counts), other))


def _check_substructure(smarts: str, absent: bool = False) -> None:
    pattern_of(smarts)


@component("substructure", domain="molecules", bounded=True, check=_check_substructure)
def substructure(molecule: Molecule, *, smarts: str, absent: bool = False) -> float:
    """1 where the pattern is found, else 0; with `absent` 0 where it is found, else 1."""
    return float(molecule.mol.HasSubstructMatch(pattern_of(smarts)) != absent)

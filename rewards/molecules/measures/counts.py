"""Counts of atoms, bonds and rings."""

from __future__ import annotations

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

from sequence_tutor.rewards.molecules.formula import has_formula, parse_formula
from sequence_tutor.rewards.molecules.molecule import Molecule
from sequence_tutor.rewards.registry import component


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


@component("heavy_atoms", domain="molecules", least=0.0)
def heavy_atoms(molecule: Molecule) -> float:
    """Atoms other than hydrogen."""
    return float(molecule.mol.GetNumHeavyAtoms())


@component("hetero_atoms", domain="molecules", least=0.0)
def hetero_atoms(molecule: Molecule) -> float:
    """Atoms other than carbon and hydrogen."""
    return float(rdMolDescriptors.CalcNumHeteroatoms(molecule.mol))


def _hybridised(molecule: Molecule, kind: Chem.HybridizationType) -> float:
    return float(sum(a.GetHybridization() == kind for a in molecule.mol.GetAtoms()))


@component("num_sp", domain="molecules", least=0.0)
def num_sp(molecule: Molecule) -> float:
    """Atoms with sp hybridisation, of any element."""
    return _hybridised(molecule, Chem.HybridizationType.SP)


@component("num_sp2", domain="molecules", least=0.0)
def num_sp2(molecule: Molecule) -> float:
    """Atoms with sp2 hybridisation, of any element."""
    return _hybridised(molecule, Chem.HybridizationType.SP2)


@component("num_sp3", domain="molecules", least=0.0)
def num_sp3(molecule: Molecule) -> float:
    """Atoms with sp3 hybridisation, of any element."""
    return _hybridised(molecule, Chem.HybridizationType.SP3)


@component("formal_charge", domain="molecules")
def formal_charge(molecule: Molecule) -> float:
    """Sum of the formal charges, elementary charges."""
    return float(Chem.GetFormalCharge(molecule.mol))


@component("stereo_centres", domain="molecules", least=0.0)
def stereo_centres(molecule: Molecule) -> float:
    """Stereo centres at atoms, whether the SMILES defines them or leaves them open."""
    return float(rdMolDescriptors.CalcNumAtomStereoCenters(molecule.mol))


@component("open_stereo_centres", domain="molecules", least=0.0)
def open_stereo_centres(molecule: Molecule) -> float:
    """Stereo centres at atoms that the SMILES leaves open."""
    return float(rdMolDescriptors.CalcNumUnspecifiedAtomStereoCenters(molecule.mol))


@component("ring_count", domain="molecules", least=0.0)
def ring_count(molecule: Molecule) -> float:
    """Rings of RDKit's smallest set."""
    return float(rdMolDescriptors.CalcNumRings(molecule.mol))


@component("aromatic_ring_count", domain="molecules", least=0.0)
def aromatic_ring_count(molecule: Molecule) -> float:
    """Rings in which all bonds are aromatic."""
    return float(rdMolDescriptors.CalcNumAromaticRings(molecule.mol))


@component("aliphatic_ring_count", domain="molecules", least=0.0)
def aliphatic_ring_count(molecule: Molecule) -> float:
    """Rings with at least one bond that isn't aromatic."""
    return float(rdMolDescriptors.CalcNumAliphaticRings(molecule.mol))


@component("largest_ring", domain="molecules", least=0.0)
def largest_ring(molecule: Molecule) -> float:
    """Atoms in the largest ring of RDKit's smallest set; 0 without rings."""
    return float(molecule.largest_ring)


@component("graph_length", domain="molecules", least=0.0)
def graph_length(molecule: Molecule) -> float:
    """Bonds between the two atoms that are farthest apart; of several parts the longest counts."""
    distances = Chem.GetDistanceMatrix(molecule.mol)
    # RDKit gives 1e8 for atoms of different parts; no path has as many bonds as there are atoms
    return float(np.max(distances, where=distances < len(distances), initial=0.0))


def _check_isomer(formula: str) -> None:
    parse_formula(formula)


@component(
    "isomer",
    domain="molecules",
    bounded=True,
    check=_check_isomer,
    reference="Brown et al. 2019, https://doi.org/10.1021/acs.jcim.8b00839",
    example='formula = "C11H24"',
)
def isomer(molecule: Molecule, *, formula: str) -> float:
    """How near the molecular formula is to another: 1 for an isomer.

    The geometric mean of exp(-d^2 / 2) for the difference d of atoms of each element in `formula`,
    and of half the difference of all atoms.

    formula: the formula wanted, with hydrogen.
    """
    return has_formula(molecule, formula)

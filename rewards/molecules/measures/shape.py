"""What depends on a molecule's shape in space; all use conformers of a fixed seed."""

from __future__ import annotations

import math
from functools import partial

from rdkit import Chem
from rdkit.Chem import (
    AllChem,
    rdForceFieldHelpers,
    rdMolAlign,
    rdMolDescriptors,
    rdShapeAlign,
    rdShapeHelpers,
)

from sequence_tutor.rewards.molecules.measures.similarity import as_tuple, references
from sequence_tutor.rewards.molecules.molecule import Molecule
from sequence_tutor.rewards.registry import component, unknown

METHODS = ("overlap", "open3dalign")
RATIOS = {"npr1": rdMolDescriptors.CalcNPR1, "npr2": rdMolDescriptors.CalcNPR2}


def _check_volume(grid_spacing: float = 0.2, box_margin: float = 2.0) -> None:
    for key, value in (("grid_spacing", grid_spacing), ("box_margin", box_margin)):
        if not 0 < value < math.inf:
            raise ValueError(f"{key} must be positive and finite, got {value}")


@component(
    "volume",
    domain="molecules",
    least=0.0,
    check=_check_volume,
    reference="https://www.rdkit.org/docs/source/rdkit.Chem.rdMolDescriptors.html",
    example='transform = { type = "double_sigmoid", low = 250, high = 400 }',
)
def volume(molecule: Molecule, grid_spacing: float = 0.2, box_margin: float = 2.0) -> float:
    """Van der Waals volume of one conformer, cubic angstrom.

    grid_spacing: edge of the cubes that are counted, angstrom; half of it takes 8 times as long.
    box_margin: space around the molecule in which cubes are counted, angstrom.
    """
    size = AllChem.ComputeMolVolume(  # type: ignore[no-untyped-call]
        molecule.conformers(), gridSpacing=grid_spacing, boxMargin=box_margin
    )
    return float(size)


def _check_pmi(property: str = "npr1") -> None:
    if property not in RATIOS:
        raise ValueError(unknown("property", property, RATIOS))


@component(
    "pmi",
    domain="molecules",
    bounded=True,
    check=_check_pmi,
    reference="Sauer and Schwarz 2003, https://doi.org/10.1021/ci025599w",
    example='property = "npr2"',
)
def pmi(molecule: Molecule, property: str = "npr1") -> float:
    """Ratio of principal moments of inertia of one conformer: a rod has npr1 0 and npr2 1, a disc
    0.5 and 0.5, a ball 1 and 1.

    property: "npr1", the least moment by the greatest, or "npr2", the middle one by the greatest.
    """
    value = float(RATIOS[property](molecule.conformers()))
    return min(1.0, max(0.0, value))  # a symmetric molecule may be outside by rounding


def _conformers(molecule: Molecule, count: int) -> Chem.Mol:
    """Conformers that can be aligned. Raises ValueError where there are none."""
    if not molecule.mol.GetNumHeavyAtoms():
        # RDKit 2026.9 crashes in the alignment
        raise ValueError("without heavy atoms there is no shape")
    return molecule.conformers(count)


def _overlap(color_weight: float, target: Chem.Mol, probe: Chem.Mol, i: int, j: int) -> float:
    """Overlap of conformer j of the probe with conformer i of the target, 0 to 1."""
    overlap, color = rdShapeAlign.AlignMol(
        target,
        probe,
        refConfId=i,
        probeConfId=j,
        useColors=color_weight > 0,
        opt_param=1.0 - color_weight,
    )
    return float((1.0 - color_weight) * overlap + color_weight * color)


def _open3d(target: Chem.Mol, probe: Chem.Mol, i: int, j: int) -> float:
    """The same after Open3DAlign. Raises ValueError where MMFF94 lacks an atom's type."""
    for one in (target, probe):
        if not rdForceFieldHelpers.MMFFHasAllMoleculeParams(one):
            raise ValueError("the force field MMFF94 lacks a type for one of the atoms")
    rdMolAlign.GetO3A(probe, target, prbCid=j, refCid=i).Align()
    return 1.0 - float(rdShapeHelpers.ShapeTanimotoDist(probe, target, confId1=j, confId2=i))


def _check_shape(
    smiles: str | list[str],
    conformers: int = 4,
    color_weight: float = 0.0,
    method: str = "overlap",
) -> None:
    if method not in METHODS:
        raise ValueError(unknown("method", method, METHODS))
    if method != "overlap" and color_weight:
        raise ValueError('color_weight is for method = "overlap": leave it out')
    if conformers < 1:
        raise ValueError(f"conformers must be at least 1, got {conformers}")
    if not 0 <= color_weight <= 1:
        raise ValueError(f"color_weight must be from 0 to 1, got {color_weight}")
    for one in references(as_tuple(smiles)):
        try:
            _conformers(one, conformers)
        except ValueError as error:
            raise ValueError(f"smiles = {one.smiles!r}: {error}") from error


@component(
    "shape",
    domain="molecules",
    bounded=True,
    check=_check_shape,
    reference="Grant and Pickup 1995, https://doi.org/10.1021/j100011a016; "
    "Tosco et al. 2011, https://doi.org/10.1007/s10822-011-9462-9",
    example='smiles = "CC(=O)Oc1ccccc1C(=O)O", color_weight = 0.5',
)
def shape(
    molecule: Molecule,
    *,
    smiles: str | list[str],
    conformers: int = 4,
    color_weight: float = 0.0,
    method: str = "overlap",
) -> float:
    """Greatest overlap of volumes with a reference after alignment, as Tanimoto similarity.

    smiles: the reference; of a list, the most similar one counts.
    conformers: how many of each molecule; every pair is aligned, so time grows with the square.
    color_weight: share of the colour score, which compares where donors, acceptors, charges, rings
    and greasy groups are.
    method: "overlap" aligns for the greatest overlap, "open3dalign" by the atoms' types and charges
    in the force field MMFF94 and compares volumes afterwards.
    """
    own = _conformers(molecule, conformers)
    aligned = partial(_overlap, color_weight) if method == "overlap" else _open3d
    best = 0.0
    for other in references(as_tuple(smiles)):
        target = other.conformers(conformers)
        for i in range(conformers):
            for j in range(conformers):
                # of a copy, since it is moved
                best = max(best, aligned(target, Chem.Mol(own), i, j))
    return min(1.0, float(best))  # equal shapes may be above 1 by rounding

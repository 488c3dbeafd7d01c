"""What depends on a molecule's shape in space; all use conformers of a fixed seed."""

from __future__ import annotations

import math

from rdkit import Chem
from rdkit.Chem import AllChem, rdMolDescriptors, rdShapeAlign

from sequence_tutor.rewards.molecules.measures.similarity import as_tuple, references
from sequence_tutor.rewards.molecules.molecule import Molecule
from sequence_tutor.rewards.registry import component, unknown

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


def _check_shape(smiles: str | list[str], conformers: int = 4, color_weight: float = 0.0) -> None:
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
    reference="Grant and Pickup 1995, https://doi.org/10.1021/j100011a016",
    example='smiles = "CC(=O)Oc1ccccc1C(=O)O", color_weight = 0.5',
)
def shape(
    molecule: Molecule,
    *,
    smiles: str | list[str],
    conformers: int = 4,
    color_weight: float = 0.0,
) -> float:
    """Greatest overlap of volumes with a reference after alignment, as Tanimoto similarity.

    smiles: the reference; of a list, the most similar one counts.
    conformers: how many of each molecule; every pair is aligned, so time grows with the square.
    color_weight: share of the colour score, which compares where donors, acceptors, charges, rings
    and greasy groups are.
    """
    own = _conformers(molecule, conformers)
    best = 0.0
    for other in references(as_tuple(smiles)):
        target = other.conformers(conformers)
        for i in range(conformers):
            for j in range(conformers):
                overlap, color = rdShapeAlign.AlignMol(
                    target,
                    Chem.Mol(own),  # a copy, since it is moved
                    refConfId=i,
                    probeConfId=j,
                    useColors=color_weight > 0,
                    opt_param=1.0 - color_weight,
                )
                best = max(best, (1.0 - color_weight) * overlap + color_weight * color)
    return min(1.0, float(best))  # equal shapes may be above 1 by rounding

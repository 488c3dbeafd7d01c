"""What a report shows of molecules: drawings with their alerts, properties, nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rdkit import Chem, DataStructs
from rdkit.Chem import rdDepictor, rdMolDescriptors

from sequence_tutor.rewards.depiction import Depiction, Picture
from sequence_tutor.rewards.molecules.identity import read
from sequence_tutor.rewards.molecules.measures.properties import molecular_weight, tpsa
from sequence_tutor.rewards.molecules.molecule import Molecule
from sequence_tutor.rewards.molecules.quality import alert_atoms

# Size of a drawing in pixels, of which the page shows any multiple.
WIDTH, HEIGHT = 260, 190
# Colour of the atoms and bonds of an alert: red, green and blue, 0 to 1; letters stay legible.
ALERT = (1.0, 0.72, 0.42)
# Alerts that are named; a molecule may have dozens that overlap.
NAMED = 4


def depict(smiles: str) -> Depiction:
    """A drawing in which the atoms of alerts are marked, and the alerts' names; empty for a SMILES
    that isn't valid, and where this machine lacks graphics libraries."""
    mol, _ = read(smiles)
    if mol is None:
        return Depiction()
    found = alert_atoms(mol)
    remarks = [f"alert: {name}" for name in found][:NAMED]
    if len(found) > NAMED:
        remarks.append(f"{len(found) - NAMED} more alerts")
    svg = draw(mol, sorted(set().union(*found.values())))
    said = f"Molecule {smiles}" + ("; marked: " + ", ".join(found) if found else "")
    return Depiction((Picture(svg, said),) if svg else (), tuple(remarks))


def draw(mol: Chem.Mol, marked: Sequence[int] = ()) -> str:
    """An SVG of a molecule with these atoms, and the bonds between them, marked; "" where this
    machine lacks graphics libraries."""
    try:
        from rdkit.Chem.Draw import rdMolDraw2D
    except ImportError:  # a server may lack them
        return ""
    drawer = rdMolDraw2D.MolDraw2DSVG(WIDTH, HEIGHT)
    options: Any = drawer.drawOptions()
    options.clearBackground = False
    options.bondLineWidth = 1.6
    options.setHighlightColour(ALERT)
    atoms = set(marked)
    bonds = [
        bond.GetIdx()
        for bond in mol.GetBonds()
        if bond.GetBeginAtomIdx() in atoms and bond.GetEndAtomIdx() in atoms
    ]
    rdMolDraw2D.PrepareAndDrawMolecule(
        drawer, mol, highlightAtoms=list(marked), highlightBonds=bonds
    )
    drawer.FinishDrawing()
    svg = drawer.GetDrawingText()
    return svg[svg.index("<svg") :]  # without the XML declaration


def mol_block(smiles: str) -> str:
    """The record of an SD file, without its fields, with coordinates of a drawing; "" for a SMILES
    that isn't valid."""
    mol, _ = read(smiles)
    if mol is None:
        return ""
    flat = Chem.Mol(mol)
    rdDepictor.Compute2DCoords(flat)
    return str(Chem.MolToMolBlock(flat))


def properties(sequences: Sequence[str]) -> dict[str, np.ndarray]:
    """float64 [B] by property with its unit, of B SMILES; NaN for one that isn't valid."""
    rows = []
    for smiles in sequences:
        mol, _ = read(smiles)
        rows.append(
            [float("nan")] * len(_PROPERTIES)
            if mol is None
            else properties_of(Molecule(smiles, mol))
        )
    table = np.array(rows, np.float64).reshape(len(rows), len(_PROPERTIES))
    return dict(zip(_PROPERTIES, table.T, strict=True))


_PROPERTIES = (
    "weight, g/mol",
    "log P",
    "polar surface (TPSA), Å²",
    "QED",
    "synthetic accessibility (1 easy, 10 hard)",
    "rings",
    "rotatable bonds",
    "H-bond donors",
    "H-bond acceptors",
)


def properties_of(molecule: Molecule) -> list[float]:
    """The properties of one molecule, in the order of `properties`."""
    mol = molecule.mol
    return [
        molecular_weight(molecule),
        molecule.logp,
        tpsa(molecule),
        molecule.qed,
        molecule.sa,
        rdMolDescriptors.CalcNumRings(mol),
        rdMolDescriptors.CalcNumRotatableBonds(mol),
        rdMolDescriptors.CalcNumHBD(mol),
        rdMolDescriptors.CalcNumHBA(mol),
    ]


def nearest(sequences: Sequence[str], corpus: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Of B SMILES the most similar of a corpus: its number there, int64 [B], -1 where there is
    none, and the similarity, float64 [B]: Tanimoto of ECFP4 of 2,048 bits."""
    prints, numbers = [], []
    for number, smiles in enumerate(corpus):
        if (mol := read(smiles)[0]) is not None:
            prints.append(Molecule(smiles, mol).fingerprint())
            numbers.append(number)
    rows, values = np.full(len(sequences), -1, np.int64), np.full(len(sequences), np.nan)
    for i, smiles in enumerate(sequences):
        if prints and (mol := read(smiles)[0]) is not None:
            own = Molecule(smiles, mol).fingerprint()
            found = np.array(DataStructs.BulkTanimotoSimilarity(own, prints))
            rows[i], values[i] = numbers[int(found.argmax())], found.max()
    return rows, values

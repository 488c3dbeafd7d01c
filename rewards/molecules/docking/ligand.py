"""A molecule as Vina takes it: protonated, in three dimensions, with rotatable bonds, as PDBQT."""

from __future__ import annotations

from dataclasses import dataclass

from rdkit import Chem, rdBase
from rdkit.Chem import rdForceFieldHelpers

from sequence_tutor.rewards.molecules.conformers import conformers
from sequence_tutor.rewards.molecules.docking.programs import dimorphite_dl, meeko

# Most rotatable bonds: AutoDock's own limit. Vina has none, but takes minutes to hours beyond it,
# and its score means little there.
MAX_TORSIONS = 32
# Steps of a force field; most molecules converge within 200.
FORCE_FIELD_STEPS = 1_000


@dataclass(frozen=True)
class Ligand:
    """A molecule that can be docked."""

    smiles: str
    """Canonical SMILES of the form that is docked."""
    pdbqt: str
    """Its PDBQT."""


def protonated(mol: Chem.Mol, ph: float) -> Chem.Mol:
    """The form of a molecule at a pH by dimorphite-dl, every group in its more frequent state
    (Ropp et al. 2019, https://doi.org/10.1186/s13321-019-0336-9). Raises ValueError where there is
    none."""
    smiles = Chem.MolToSmiles(mol)
    found = dimorphite_dl().protonate_smiles(
        smiles, ph_min=ph, ph_max=ph, precision=0.0, max_variants=1
    )
    form = Chem.MolFromSmiles(found[0]) if found else None
    if form is None:
        raise ValueError(f"dimorphite-dl gives no form of {smiles} at pH {ph:g}")
    return form


def relaxed(mol: Chem.Mol) -> Chem.Mol:
    """A copy with hydrogen atoms and one conformer: ETKDG with the seed of `conformers`, then
    MMFF94, or UFF where that lacks parameters. Raises ValueError where either is impossible."""
    whole = conformers(mol)
    if rdForceFieldHelpers.MMFFHasAllMoleculeParams(whole):
        rdForceFieldHelpers.MMFFOptimizeMolecule(whole, maxIters=FORCE_FIELD_STEPS)
    elif rdForceFieldHelpers.UFFHasAllMoleculeParams(whole):
        rdForceFieldHelpers.UFFOptimizeMolecule(whole, maxIters=FORCE_FIELD_STEPS)
    else:
        raise ValueError("neither MMFF94 nor UFF has parameters for its atoms")
    return whole


def prepare_ligand(mol: Chem.Mol, ph: float | None) -> Ligand:
    """The ligand of a molecule; None for `ph` leaves charges as they are. Raises ValueError with
    one sentence where it can't be docked."""
    parts = len(Chem.GetMolFrags(mol))
    if parts > 1:
        raise ValueError(f"it has {parts} fragments, and one molecule is docked at a time")
    if not mol.GetNumHeavyAtoms():
        raise ValueError("without heavy atoms there is nothing to dock")
    with rdBase.BlockLogs():
        form = mol if ph is None else protonated(mol, ph)
        pdbqt = _pdbqt(relaxed(form))
    return Ligand(Chem.MolToSmiles(form), pdbqt)


def _pdbqt(whole: Chem.Mol) -> str:
    tools = meeko()
    try:
        [setup, *_] = tools.MoleculePreparation()(whole)
        text, done, problems = tools.PDBQTWriterLegacy.write_string(setup)
    except Exception as error:  # it raises many types
        raise ValueError(f"meeko can't prepare it: {_first_line(str(error))}") from error
    if not done or not text:
        raise ValueError(f"meeko can't prepare it: {_first_line(problems)}")
    torsions = text.count("\nBRANCH")
    if torsions > MAX_TORSIONS:
        raise ValueError(f"it has {torsions} rotatable bonds, more than {MAX_TORSIONS}")
    return str(text)


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")

"""A docked pose as an SD file."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO

from rdkit import Chem

from sequence_tutor.rewards.molecules.docking.programs import meeko


def pose_sdf(pdbqt: str, title: str, properties: Mapping[str, str]) -> bytes:
    """One record of an SD file: the pose with all its hydrogen atoms and bond orders, in the
    receptor's coordinates; the same bytes for the same arguments. Raises ValueError where meeko
    can't read the pose."""
    tools = meeko()
    try:
        [mol] = tools.RDKitMolCreate.from_pdbqt_mol(
            tools.PDBQTMolecule(pdbqt, skip_typing=True)  # the types are Vina's
        )
    except Exception as error:  # it raises many types
        raise ValueError(f"meeko can't read the pose: {error}") from error
    for name in list(mol.GetPropNames()):  # meeko's own
        mol.ClearProp(name)
    mol.SetProp("_Name", title)
    for name, value in properties.items():
        mol.SetProp(name, value)
    text = StringIO()
    writer = Chem.SDWriter(text)
    writer.write(mol)
    writer.close()
    return text.getvalue().encode()

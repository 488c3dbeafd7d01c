"""What tells two molecules apart (`molecules.identity`), and the form without the rest."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from rdkit import Chem, rdBase
from rdkit.Chem.MolStandardize import rdMolStandardize

# What may tell two molecules apart, in the order in which what isn't listed is taken away.
FEATURES = ("salt", "charge", "isotope", "tautomer", "stereo", "atom_maps")
# What does by default: all but labels.
DEFAULT = FEATURES[:-1]


def in_order(features: Iterable[str]) -> tuple[str, ...]:
    """The features, each once, in the order of FEATURES."""
    given = set(features)
    return tuple(name for name in FEATURES if name in given)


def reduced(mol: Chem.Mol, kept: Collection[str]) -> Chem.Mol:
    """A copy of a molecule without the features that aren't kept.

    By RDKit: salt, the largest fragment (`LargestFragmentChooser`); charge, `Uncharger`; isotope,
    all mass numbers 0; tautomer, the canonical one (`TautomerEnumerator`); stereo, no centres and
    no double bonds specified; atom_maps, no numbers. Raises what RDKit raises.
    """
    mol = Chem.Mol(mol)
    with rdBase.BlockLogs():
        if "salt" not in kept:
            mol = rdMolStandardize.LargestFragmentChooser().choose(mol)
        if "charge" not in kept:
            mol = rdMolStandardize.Uncharger().uncharge(mol)
        if "isotope" not in kept:
            for atom in mol.GetAtoms():
                atom.SetIsotope(0)
            mol = Chem.RemoveHs(mol)  # deuterium was an atom of its own
        if "tautomer" not in kept:
            mol = rdMolStandardize.TautomerEnumerator().Canonicalize(mol)
        if "stereo" not in kept:
            Chem.RemoveStereochemistry(mol)
        if "atom_maps" not in kept:
            for atom in mol.GetAtoms():
                atom.SetAtomMapNum(0)
    return mol

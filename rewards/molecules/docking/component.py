"""The component `docking`."""

from __future__ import annotations

import math
from typing import Any

from rdkit import Chem

from sequence_tutor.rewards.attachments import keep
from sequence_tutor.rewards.file_data import digest_of, require_digest
from sequence_tutor.rewards.molecules.docking import programs
from sequence_tutor.rewards.molecules.docking.engine import engine
from sequence_tutor.rewards.molecules.docking.ligand import prepare_ligand
from sequence_tutor.rewards.molecules.docking.pose import pose_sdf
from sequence_tutor.rewards.molecules.docking.receptor import read_site, require_packages, site
from sequence_tutor.rewards.molecules.molecule import Molecule
from sequence_tutor.rewards.registry import component

# Folder of the poses in a run's directory.
POSES = "poses"


def _check(
    target: str | None = None,
    receptor: str | None = None,
    center: list[float] | None = None,
    size: list[float] | None = None,
    exhaustiveness: int = 8,
    seed: int = 1,
    protonate: bool = True,
    ph: float = 7.4,
    sha256: str | None = None,
) -> None:
    require_packages()
    place = read_site(target, receptor, center, size)
    if sha256 is not None:
        require_digest(f"{place.name!r}", digest_of(place.path), sha256, "receptor")
    if exhaustiveness < 1:
        raise ValueError(f"exhaustiveness must be at least 1, got {exhaustiveness}")
    if not 1 <= seed < 2**31:
        # Vina takes 0 for a seed of its own choice
        raise ValueError(f"seed must be from 1 to {2**31 - 1}, got {seed}")
    if not (math.isfinite(ph) and 0 <= ph <= 14):
        raise ValueError(f"ph must be from 0 to 14, got {ph}")


def _pin(
    target: str | None = None,
    receptor: str | None = None,
    center: list[float] | None = None,
    size: list[float] | None = None,
    sha256: str | None = None,
    **_: object,
) -> dict[str, Any]:
    if sha256 is not None:
        return {}
    require_packages()
    return {"sha256": digest_of(read_site(target, receptor, center, size).path)}


def _prepare(
    target: str | None = None,
    receptor: str | None = None,
    center: list[float] | None = None,
    size: list[float] | None = None,
    seed: int = 1,
    **_: object,
) -> None:
    for load in (programs.meeko, programs.dimorphite_dl):
        load()
    engine(site(target, receptor, center, size), seed)


@component(
    "docking",
    domain="molecules",
    check=_check,
    pin=_pin,
    prepare=_prepare,
    reference="Eberhardt et al. 2021, https://doi.org/10.1021/acs.jcim.1c00203; Garcia-Ortegon et "
    "al. 2022, https://doi.org/10.1021/acs.jcim.1c01334",
    example='target = "KIT", exhaustiveness = 1, '
    'transform = { type = "reverse_sigmoid", low = -12, high = -6 }',
)
def docking(
    molecule: Molecule,
    *,
    target: str | None = None,
    receptor: str | None = None,
    center: list[float] | None = None,
    size: list[float] | None = None,
    exhaustiveness: int = 8,
    seed: int = 1,
    protonate: bool = True,
    ph: float = 7.4,
    sha256: str | None = None,
) -> float:
    """Score of the best pose that AutoDock Vina finds, kcal/mol; the lower, the better it fits.

    Give target, or receptor with center and size. The time is for exhaustiveness 1; 8 takes about
    8 times as long. The best pose is kept in the run's directory.

    target: one of dockstring's 58 prepared proteins, with its box.
    receptor: path of a PDBQT file, which all nodes see.
    center: centre of the box, angstrom.
    size: edges of the box, angstrom.
    exhaustiveness: searches from random starts; more find better poses more surely.
    seed: of the searches; with the same one a molecule has the same score.
    protonate: whether groups get the protons that they mostly have at `ph`.
    ph: for `protonate`.
    sha256: SHA-256 of the receptor's file; a run writes it into its config, and refuses a file that
    has changed.
    """
    place = site(target, receptor, center, size)
    ligand = prepare_ligand(molecule.mol, ph if protonate else None)
    docked = engine(place, seed).dock(ligand.pdbqt, exhaustiveness)
    properties = {
        "smiles": molecule.smiles,
        "docked_form": ligand.smiles,
        "score_kcal_per_mol": f"{docked.score:.3f}",
        "target": place.name,
        "exhaustiveness": str(exhaustiveness),
        "seed": str(seed),
    }
    keep(POSES, ".sdf", pose_sdf(docked.pdbqt, Chem.MolToSmiles(molecule.mol), properties))
    return docked.score

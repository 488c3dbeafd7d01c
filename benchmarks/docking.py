"""What docking costs, and how near it is to published scores.

    python benchmarks/docking.py --target KIT --molecules 20
    python benchmarks/docking.py --published 8      # needs dockstring, which has the scores

The first prints seconds and memory of a process: maps, molecules with the maps kept, and with maps
for each. The second docks molecules of dockstring's own test (exhaustiveness 8, pH 7.4) and prints
both scores: dockstring prepares them with Open Babel and docks with Vina 1.1.2.
"""

from __future__ import annotations

import argparse
import importlib
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rdkit import Chem

from sequence_tutor.rewards import score_one
from sequence_tutor.rewards.molecules.docking import programs
from sequence_tutor.rewards.molecules.docking.engine import Engine, engine
from sequence_tutor.rewards.molecules.docking.ligand import prepare_ligand
from sequence_tutor.rewards.molecules.docking.receptor import site
from sequence_tutor.rewards.molecules.tasks.drugs import DRUGS

# Molecules for which maps are computed each time.
WITHOUT = 3


def timed(call: Callable[[], Any]) -> tuple[float, float]:
    """Wall-clock and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def peak_mb() -> float:
    """The most memory that this process has had, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def costs(target: str, molecules: int) -> None:
    """Print seconds and memory."""
    programs.meeko(), programs.dimorphite_dl(), programs.vina()
    before = peak_mb()
    place = site(target, None, None, None)
    print(f"maps of {target}: {show([timed(lambda: engine(place, 1))])}")
    print(f"memory: {before:.0f} MB with the programs loaded, {peak_mb():.0f} MB with maps")
    drugs = list(DRUGS.values())[:molecules]
    one = {"target": target, "exhaustiveness": 1}
    times = [timed(lambda s=s: score_one("docking", s, **one)) for s in drugs]
    print(f"{len(drugs)} drugs at exhaustiveness 1, maps kept: {show(times)} each")
    print(f"memory: {peak_mb():.0f} MB")

    def anew(smiles: str) -> None:
        ligand = prepare_ligand(Chem.MolFromSmiles(smiles), 7.4)
        Engine(place, 1).dock(ligand.pdbqt, 1)

    again = [timed(lambda s=s: anew(s)) for s in drugs[:WITHOUT]]
    print(f"the first {WITHOUT}, maps for each: {show(again)}; kept: {show(times[:WITHOUT])}")


def show(times: list[tuple[float, float]]) -> str:
    """Means as text."""
    wall, cpu = np.mean(times, axis=0)
    return f"{wall:.2f} s, {cpu:.2f} s of CPU"


def published(count: int) -> None:
    """Print scores beside dockstring's, for molecules with at most 30 heavy atoms."""
    known = importlib.import_module("dockstring.dataset").random_dataset_tuples
    rows = []
    for target, smiles, score in known:
        if Chem.MolFromSmiles(smiles).GetNumHeavyAtoms() <= 30 and len(rows) < count:
            engine.cache_clear()  # a target's maps take half a GB
            ours = score_one("docking", smiles, target=target, exhaustiveness=8)
            rows.append((score, ours))
            print(f"| {target} | {smiles} | {score:.1f} | {ours:.1f} |", flush=True)
    difference = np.diff(rows, axis=1)
    print(
        f"{len(rows)} molecules: difference {difference.mean():+.2f} kcal/mol, "
        f"absolute {np.abs(difference).mean():.2f}, at most {np.abs(difference).max():.2f}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="KIT")
    parser.add_argument("--molecules", type=int, default=20)
    parser.add_argument("--published", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.published:
        published(chosen.published)
    else:
        costs(chosen.target, chosen.molecules)

"""Stands for a laboratory: molecules of ZINC with a pIC50 that is computed here.

    python examples/assay/laboratory.py             # writes examples/assay/assay.csv
    python examples/assay/laboratory.py runs/assay  # measures what a run has found

`activity` is the truth that a laboratory measures with some noise and that a run never sees. So the
tutorial can tell how good the molecules of a run really are.
"""

from __future__ import annotations

import csv
import random
import sys
from math import exp
from pathlib import Path

from pyarrow.parquet import read_table
from rdkit import Chem
from rdkit.Chem import Crippen, Descriptors

from sequence_tutor.policies.find_prior import example_data

FILE = Path(__file__).with_name("assay.csv")
COMPOUNDS = 200
NOISE = 0.3  # standard deviation of a measurement, in units of pIC50
# what binds, and how much it adds before the sum levels off
PARTS = {
    "NS(=O)(=O)c": 0.5,
    "FC(F)F": 0.3,
    "c1cn[n]c1": 0.35,
    "c1ccc(F)cc1": 0.2,
    "[NX3;H2,H1;!$(NC=O);!$(NS)]C": 0.15,
}
PATTERNS = {Chem.MolFromSmarts(smarts): effect for smarts, effect in PARTS.items()}


def activity(smiles: str) -> float:
    """The true pIC50: from 4 to 9; fat and heavy molecules lose some of it."""
    molecule = Chem.MolFromSmiles(smiles)
    binding = sum(e for pattern, e in PATTERNS.items() if molecule.HasSubstructMatch(pattern))
    too_fat = max(0.0, Crippen.MolLogP(molecule) - 4)
    too_heavy = max(0.0, Descriptors.MolWt(molecule) - 450) / 100
    return 4 + 5 * (1 - exp(-binding)) * exp(-0.5 * (too_fat + too_heavy))


def make() -> None:
    known = sorted(example_data("zinc250k"))
    draw = random.Random(0)
    rows = []
    for number, smiles in enumerate(draw.sample(known, COMPOUNDS), start=1):
        measured = activity(smiles) + draw.gauss(0, NOISE)
        rows.append((f"A-{number:03}", smiles, f"{measured:.2f}"))
    with FILE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([("compound", "smiles", "pIC50"), *rows])


def measure(run: Path) -> None:
    """Print the true pIC50 of the assay, of a run's new molecules, and of as many at random."""
    with FILE.open(newline="") as file:
        assay = sorted(csv.DictReader(file), key=lambda row: -float(row["pIC50"]))
    rows = read_table(run / "scores").to_pylist()
    new = [row for row in rows if row["status"] == "ok" and row["source"] != "warm-start"]
    new.sort(key=lambda row: -row["reward"])
    tried = {row["smiles"] for row in assay}
    others = sorted(set(example_data("zinc250k")) - tried)
    drawn = random.Random(1).sample(others, len(new))

    show("the assay", [row["smiles"] for row in assay])
    show("its best ten, as measured", [row["smiles"] for row in assay[:10]])
    show("molecules of ZINC at random", drawn)
    show("new molecules of the run", [row["sequence"] for row in new])
    show("the ten of these with the highest reward", [row["sequence"] for row in new[:10]])


def show(what: str, smiles: list[str]) -> None:
    true = [activity(one) for one in smiles]
    potent = sum(value >= 6 for value in true)
    mean = sum(true) / len(true)
    print(f"{what}: {len(true)}, true pIC50 {mean:.2f} on average, {potent} from 6 on")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(Path(sys.argv[1]))
    else:
        make()

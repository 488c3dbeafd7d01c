"""Make assay.csv, which stands for an assay: molecules of ZINC with a pIC50 that is computed here.

`activity` is the truth that a laboratory would measure and a run never sees. So the tutorial can tell how
good the molecules of a run really are:

    python examples/assay/make_assay.py                    # writes examples/assay/assay.csv
    python examples/assay/make_assay.py runs/assay/top.csv # "measures" the ten best of a run
"""

from __future__ import annotations

import csv
import random
import sys
from math import exp
from pathlib import Path

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


def measure(table: Path) -> None:
    with table.open(newline="") as file:
        rows = [(row["sequence"], float(row["reward"])) for row in csv.DictReader(file)][:10]
    true = [activity(smiles) for smiles, _ in rows]
    for (smiles, predicted), value in zip(rows, true, strict=True):
        print(f"predicted {predicted:.2f}, true {value:.2f}  {smiles}")
    print(f"mean of ten: predicted {sum(p for _, p in rows) / 10:.2f}, true {sum(true) / 10:.2f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(Path(sys.argv[1]))
    else:
        make()

"""A model of assay.csv as a reward: a Gaussian process on fragments, 30 lines of NumPy.

    python examples/assay/predict.py    # how good it is on molecules that it hasn't seen

`pic50` returns the prediction minus the model's own doubt: a molecule that is like nothing in the
assay isn't worth much, however high the guess.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from rdkit import Chem, DataStructs
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

NOISE = 0.3  # of a measurement, in units of pIC50
SPREAD = 0.8  # of true values around their mean

FRAGMENTS = GetMorganGenerator(radius=2)
with Path(__file__).with_name("assay.csv").open(newline="") as file:
    ASSAY = [(row["smiles"], float(row["pIC50"])) for row in csv.DictReader(file)]


def counts(smiles: str):
    return FRAGMENTS.GetSparseCountFingerprint(Chem.MolFromSmiles(smiles))


class Model:
    def __init__(self, rows):
        self.known = [counts(smiles) for smiles, _ in rows]
        values = np.array([value for _, value in rows])
        self.mean = values.mean()
        same = np.array([DataStructs.BulkTanimotoSimilarity(one, self.known) for one in self.known])
        noise = (NOISE / SPREAD) ** 2 * np.eye(len(rows))
        self.inverse = np.linalg.inv(same + noise)
        self.weights = self.inverse @ (values - self.mean)

    def __call__(self, smiles: str) -> tuple[float, float]:
        """The prediction and its standard deviation."""
        alike = np.array(DataStructs.BulkTanimotoSimilarity(counts(smiles), self.known))
        left = max(0.0, 1 - alike @ self.inverse @ alike)
        return float(self.mean + alike @ self.weights), SPREAD * left**0.5


MODEL = Model(ASSAY)  # when the file is imported: once for all processes of a scorer


def pic50(smiles: str) -> float:
    prediction, doubt = MODEL(smiles)
    return prediction - doubt


if __name__ == "__main__":
    held_out = []
    for fold in range(5):
        model = Model([row for n, row in enumerate(ASSAY) if n % 5 != fold])
        held_out += [(*model(s), value) for n, (s, value) in enumerate(ASSAY) if n % 5 == fold]
    predicted, _, measured = np.array(held_out).T
    error = float(np.sqrt(np.mean((predicted - measured) ** 2)))
    print(f"{len(ASSAY)} compounds, pIC50 {measured.min():.2f} to {measured.max():.2f}")
    print(f"held out: error {error:.2f}, correlation {np.corrcoef(predicted, measured)[0, 1]:.2f}")
    print(f"without a model: error {measured.std():.2f}")

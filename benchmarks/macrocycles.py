"""Macrocyclic peptides as molecules of up to 300 tokens: a prior for them, from the shipped one.

    python benchmarks/macrocycles.py [--peptides 2000] [--epochs 6] [--out runs/macrocycles]

The peptides are head-to-tail cycles of 5 to 8 of the twenty amino acids, drawn at random, each
residue L or D, written by RDKit. Counted among samples: valid ones, those with a ring of at least
12 atoms, and distinct ones that aren't in the data; then a run of 200 scores towards a TPSA below
140 square angstrom, with the prior's --max-length.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import load_prior, markdown
from rdkit import Chem, RDLogger
from rdkit.Chem.rdMolDescriptors import CalcTPSA

from sequence_tutor.distributed import optimize

LETTERS = "ACDEFGHIKLMNPQRSTVWY"
LENGTHS, LONGEST, LEAST_RING, SAMPLES = (5, 8), 300, 12, 500


def peptides(n: int) -> list[str]:
    """n different cyclic peptides as SMILES."""
    draw, found = random.Random(0), dict[str, None]()
    while len(found) < n:
        residues = [draw.choice(LETTERS) for _ in range(draw.randint(*LENGTHS))]
        # glycine has no mirror image
        names = [r if r == "G" or draw.random() < 0.7 else f"[d{r}]" for r in residues]
        chain = "PEPTIDE1{" + ".".join(names) + "}"
        mol = Chem.MolFromHELM(f"{chain}$PEPTIDE1,PEPTIDE1,{len(names)}:R2-1:R1$$$")
        if mol is not None:
            found[Chem.MolToSmiles(mol)] = None
    return list(found)


def described(samples: list[str], known: set[str]) -> list[float]:
    """Shares of valid samples, of macrocycles and of new ones among these; their mean TPSA."""
    mols = [mol for text in samples if (mol := Chem.MolFromSmiles(text)) is not None]
    keys = {Chem.MolToSmiles(mol) for mol in mols}
    big = [
        max((len(ring) for ring in mol.GetRingInfo().AtomRings()), default=0) >= LEAST_RING
        for mol in mols
    ]
    tpsa = float(np.mean([CalcTPSA(mol) for mol in mols]))
    return [
        len(mols) / len(samples),
        sum(big) / max(1, len(mols)),
        len(keys - known) / max(1, len(mols)),
        tpsa,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peptides", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    out = given.out or Path(tempfile.mkdtemp())
    out.mkdir(parents=True, exist_ok=True)
    data, prior = peptides(given.peptides), out / "prior"
    (out / "peptides.smi").write_text("\n".join(data) + "\n")
    command = ["pretrain", "--from", "zinc250k", out / "peptides.smi", "--out", prior]
    command += ["--max-length", LONGEST, "--epochs", given.epochs, "--report-samples", 0]
    module = [sys.executable, "-m", "sequence_tutor.distributed.commands.cli"]
    started = time.perf_counter()
    subprocess.run([*module, *map(str, command)], check=True, stdout=sys.stderr)
    trained = time.perf_counter() - started
    rows: list[list[object]] = []
    columns = ["samples of", "valid", "macrocycles", "new", "mean TPSA", "s"]
    samples = load_prior(str(prior)).sample(SAMPLES, seed=0)
    rows.append(["prior", *described(samples, set(data)), trained])
    config = {
        "prior": str(prior),
        "reward": {
            "component": [
                {
                    "name": "tpsa",
                    "transform": {"type": "reverse_sigmoid", "low": 140.0, "high": 300.0},
                }
            ]
        },
        "learner": {"kl": 10.0},
        "stop": {"scores": 200},
    }
    started = time.perf_counter()
    tuned = optimize(config, out / "run", local=True, quiet=True)
    seconds = time.perf_counter() - started
    samples = tuned.policy().sample(SAMPLES, seed=0)
    rows.append(["policy", *described(samples, set(data)), seconds])
    print(markdown(columns, rows))
    print(load_prior(str(prior)).card["nll"])


if __name__ == "__main__":
    main()

"""A prior goes on with a series of 300 molecules that has two new tokens: NLL of the series and of
old data, and the share of the series' scaffold among 200 samples, before and after.

    python benchmarks/transfer.py --corpus ../shared/data/zinc250k.smi.gz --out runs/transfer

The series is made from the corpus: benzanilides (by their Murcko scaffold), in each of which a
halogen at a ring is replaced by [Se]C, or a methyl at a ring by [Si](C)(C)C. The replaced groups
aren't part of the scaffold, and the shipped prior has neither token.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from pathlib import Path

from common import load_prior, markdown
from rdkit import Chem, RDLogger
from rdkit.Chem.Scaffolds import MurckoScaffold

from sequence_tutor.policies.files.corpus import read_corpus

SCAFFOLD = "O=C(Nc1ccccc1)c1ccccc1"
EDITS = [("[F,Cl,Br;$(*c)]", "[Se]C"), ("[CH3;$(*c)]", "[Si](C)(C)C")]
SIZE, OLD, SAMPLES = 300, 500, 200


def series(corpus: list[str]) -> list[str]:
    """300 edited molecules of the scaffold, each one once."""
    core = Chem.MolFromSmiles(SCAFFOLD)
    edits = [(Chem.MolFromSmarts(old), Chem.MolFromSmiles(new)) for old, new in EDITS]
    found: dict[str, None] = {}
    for smiles in corpus:
        mol = Chem.MolFromSmiles(smiles)
        if not mol.HasSubstructMatch(core) or scaffold(smiles) != SCAFFOLD:
            continue
        # every other one gets silicon, where it has a methyl
        for pattern, group in edits if len(found) % 2 else edits[::-1]:
            if mol.HasSubstructMatch(pattern):
                (edited, *_) = Chem.ReplaceSubstructs(mol, pattern, group)
                Chem.SanitizeMol(edited)
                found[Chem.MolToSmiles(edited)] = None
                break
        if len(found) == SIZE:
            return list(found)
    raise SystemExit(f"the corpus has {len(found)} such molecules, not {SIZE}")


def scaffold(smiles: str) -> str | None:
    """The Murcko scaffold without stereochemistry; None for no molecule."""
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        return None
    return Chem.MolToSmiles(MurckoScaffold.GetScaffoldForMol(mol), isomericSmiles=False)


def share(prior: str) -> float:
    """Share of the scaffold among the samples of a prior."""
    samples = load_prior(prior).sample(SAMPLES, seed=0)
    return sum(scaffold(s) == SCAFFOLD for s in samples) / SAMPLES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3], help="learning rates")
    parser.add_argument("--epochs", type=int, default=10)
    given = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    given.out.mkdir(parents=True, exist_ok=True)
    data, old = given.out / "series.smi", given.out / "old.smi"
    if not old.is_file():
        corpus = read_corpus(given.corpus, lambda _: None).sequences
        random.Random(0).shuffle(corpus)
        data.write_text("\n".join(series(corpus)) + "\n")
        old.write_text("\n".join(corpus[-OLD:]) + "\n")
    before = share("zinc250k")
    rows: list[list[object]] = []
    for rate in given.rates:
        out = given.out / f"{rate:g}"
        start = time.perf_counter()
        command = ["pretrain", "--from", "zinc250k", data, "--out", out, "--old-data", old]
        command += ["--learning-rate", rate, "--epochs", given.epochs, "--report-samples", 0]
        module = [sys.executable, "-m", "sequence_tutor.distributed.commands.cli"]
        if not (out / "prior.json").is_file():
            subprocess.run([*module, *map(str, command)], check=True, stdout=sys.stderr)
        seconds = time.perf_counter() - start
        card = load_prior(str(out)).card
        pairs = zip(card["nll"]["before"].values(), card["nll"]["after"].values(), strict=True)
        cells = [f"{x:.1f} -> {y:.1f}" for x, y in pairs]
        best = len(card["history"])  # that of the epoch that was kept
        rows.append([f"{rate:g}", *cells, f"{before:.1%} -> {share(str(out)):.1%}", best, seconds])
        print(markdown(["rate", "NLL, series", "NLL, old", "scaffold", "best epoch", "s"], rows))


if __name__ == "__main__":
    main()

"""Constrained generation: what the samples of prior and tuned policy keep, and what they are worth.

    python benchmarks/series.py [--scores 500] [--samples 1000] [--kl 3 6] [--out runs/series]

Scaffold: 4-anilinoquinazoline with the three points where gefitinib and erlotinib differ (PubChem
CID 123631 and 176870). Fragments: the two ends of imatinib (PubChem CID 5291), whose own linker is
an amide. Lead: gefitinib, similarity 0.4 to 0.8. Each is tuned on QED by the policy alone, the
first two to several KL. A part counts as kept if RDKit finds it, with its stereochemistry, in the
valid molecule.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from rdkit import Chem, RDLogger
from rdkit.Chem.QED import qed

from sequence_tutor.distributed import optimize
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import parse_config
from sequence_tutor.distributed.generating.generator import Generator
from sequence_tutor.distributed.given_parts import lead_starts
from sequence_tutor.distributed.run_directory.starting_prior import starting_prior

GEFITINIB = "COc1cc2ncnc(Nc3ccc(F)c(Cl)c3)c2cc1OCCCN1CCOCC1"
SCAFFOLD = "[*:1]Oc1cc2ncnc(N[*:3])c2cc1O[*:2]"
FRAGMENTS = ["Cc1ccc([*:1])cc1Nc1nccc(-c2cccnc2)n1", "[*:1]c1ccc(CN2CCN(C)CC2)cc1"]
CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "scaffold": ({"scaffold": SCAFFOLD}, [SCAFFOLD]),
    "fragments": ({"fragments": FRAGMENTS}, FRAGMENTS),
    "near": ({"near": {"smiles": GEFITINIB, "from": 0.4, "to": 0.8}}, []),
}
COLUMNS = ("case", "samples of", "valid", "kept", "distinct", "mean QED", "in the window", "s")
# Proposals at the beginning of a run near a lead whose similarity is looked at.
FIRST = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--scores", type=int, default=500, help="scores of each tuning")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--kl", type=float, nargs="+", default=[3.0, 6.0], help="of each tuning")
    parser.add_argument("--out", type=Path, help="where the runs go; by default a folder in /tmp")
    options = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    out = options.out or Path(tempfile.mkdtemp())
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
    for case in options.cases:
        generate, parts = CASES[case]
        config: dict[str, Any] = {
            "generate": generate,
            "reward": {"component": [{"name": "qed"}]},
            "stop": {"scores": options.scores},
        }
        run = parse_config(config)
        if case == "near":
            row(case, f"the first {FIRST} proposals", first_proposals(run), parts, run, 0.0)
        prior = starting_prior(run)
        row(case, "prior", prior.sample(options.samples, 0), parts, run, 0.0)
        learners = {f"KL {kl:g}": {"kl": kl} for kl in options.kl}
        if case == "near":  # which is far from the prior
            learners = {"c = 0.01": {"temperature": 0.01}}
        for name, learner in learners.items():
            started = time.perf_counter()
            place = out / f"{case}-{name.replace(' ', '')}"
            tuned = optimize(config | {"learner": learner}, place, local=True, quiet=True)
            seconds = time.perf_counter() - started
            samples = tuned.policy().sample(options.samples, 0)
            row(case, f"policy, {name}", samples, parts, run, seconds)


def first_proposals(run: RunConfig) -> list[str]:
    """What the actor of a run generates first."""
    prior = starting_prior(run)
    starts = lead_starts(run, prior.encoding)
    generator = Generator(prior, run.actors, run.seed, 1, False, starts=starts)
    episodes = generator.sample([0], "", FIRST)[1].episodes
    return [prior.encoding.decode(tokens) for tokens in episodes.tokens]


def row(
    case: str, what: str, samples: list[str], parts: Iterable[str], run: RunConfig, seconds: float
) -> None:
    """Print a row of the table. seconds: of the tuning, 0 for none."""
    valid = [mol for text in samples if (mol := Chem.MolFromSmiles(text)) is not None]
    wanted = [without_points(part) for part in parts]
    kept = [all(mol.HasSubstructMatch(part, useChirality=True) for part in wanted) for mol in valid]
    keys = [Chem.MolToSmiles(mol) for mol in valid]
    near = np.mean([run.domain.key(text) is not None for text in samples])
    cells = [
        case,
        what,
        f"{len(valid) / len(samples):.3f}",
        f"{np.mean(kept):.3f}" if wanted else "-",
        f"{len(set(keys)) / len(keys):.3f}",
        f"{np.mean([qed(mol) for mol in valid]):.3f}",
        f"{near:.3f}" if case == "near" else "-",
        f"{seconds:.0f}" if seconds else "-",
    ]
    print("| " + " | ".join(cells) + " |", flush=True)


def without_points(part: str) -> Chem.Mol:
    """A given part without its attachment points."""
    mol = Chem.RWMol(Chem.MolFromSmiles(part))
    for atom in sorted((a.GetIdx() for a in mol.GetAtoms() if not a.GetAtomicNum()), reverse=True):
        mol.RemoveAtom(atom)
    found = mol.GetMol()
    found.UpdatePropertyCache(strict=False)
    return found


if __name__ == "__main__":
    main()

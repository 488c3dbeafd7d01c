"""What benchmarks/pmo.py measures of a finished run, from its record and its policy."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rdkit import Chem
from rdkit.Chem import EnumerateStereoisomers

from sequence_tutor.distributed.replay.messages import WARM_START
from sequence_tutor.distributed.replay.record.store import PartStore
from sequence_tutor.distributed.replay.record.writer import scan
from sequence_tutor.policies.prior import Prior, load_prior
from sequence_tutor.rewards.molecules.molecule import Molecule, parse, quiet
from sequence_tutor.rewards.molecules.quality import circles, passes_filters

# NLL in nats under the prior zinc250k that 95 % of its corpus don't exceed (canonical SMILES of
# 3,000 molecules drawn with seed 0).
PLAUSIBLE_NLL = 28.56
# Stereoisomers that are tried: the corpus specifies stereo, and children have none.
ISOMERS = 8
# Scores at which the top-10 mean is shown.
MARKS = (1000, 3000, 10_000)


@dataclass(frozen=True)
class Row:
    """A valid molecule that was paid for."""

    smiles: str
    """Its key."""
    reward: float
    """Value of the task."""
    source: str
    """The proposer."""


def read_rows(run: Path, budget: int) -> list[Row]:
    """The first `budget` valid rows of a run in the order in which they were stored."""
    rows: list[Row] = []
    wanted = ("key", "reward", "status", "source")
    for _, table, _ in scan(PartStore(run / "scores"), wanted=lambda name: name in wanted):
        for row in table.to_pylist():
            if row["status"] == "ok" and row["source"] != WARM_START:
                rows.append(Row(row["key"], row["reward"], row["source"]))
    return rows[:budget]


def running_top(rewards: Sequence[float], k: int, budget: int) -> np.ndarray:
    """Mean of the best k after each score, float64 [budget]; NaN rewards count as no molecule, and
    missing ones among the k as 0. An unused rest of the budget has the last value."""
    best: list[float] = []
    curve, rewards = np.zeros(budget), rewards[:budget]
    for i, reward in enumerate(rewards):
        if not np.isnan(reward):
            if len(best) < k:
                heapq.heappush(best, reward)
            else:
                heapq.heappushpop(best, reward)
        curve[i] = sum(best) / k
    curve[len(rewards) :] = curve[len(rewards) - 1] if rewards else 0.0
    return curve


def auc(rewards: Sequence[float], k: int, budget: int) -> float:
    """Area under the running top-k mean, 0 to 1, by trapezoids each 100 scores as PMO computes it
    (Gao et al. 2022). Before there are k molecules PMO takes the mean of those there are; only the
    first marks differ, and here they count as 0."""
    curve = running_top(rewards, k, budget)
    marks = np.concatenate([[0.0], curve[99::100]])
    return float(((marks[1:] + marks[:-1]) / 2).mean())


def plausible_nll(smiles: Iterable[str], prior: Prior) -> list[float]:
    """NLL under the prior in nats of each molecule, of its most likely stereoisomer; inf where the
    prior's vocabulary lacks a token."""
    spelled: list[str] = []
    owner: list[int] = []
    count = 0
    for i, one in enumerate(smiles):
        count += 1
        for isomer in _isomers(one):
            try:
                fits = len(prior.encoding.encode(isomer)) <= prior.encoding.max_length
            except ValueError:
                fits = False
            if fits:
                spelled.append(isomer)
                owner.append(i)
    found = np.full(count, np.inf)
    if spelled:
        np.minimum.at(found, owner, -np.asarray(prior.log_prob(spelled, exact=False)))
    return [float(x) for x in found]


def _isomers(smiles: str) -> set[str]:
    mol = parse(smiles)
    options = EnumerateStereoisomers.StereoEnumerationOptions(
        maxIsomers=ISOMERS, onlyUnassigned=True, unique=True, rand=0
    )
    isomers = EnumerateStereoisomers.EnumerateStereoisomers(mol, options=options)
    return {smiles, *(Chem.MolToSmiles(isomer) for isomer in isomers)}


def practical(rows: Sequence[Row], prior: Prior) -> np.ndarray:
    """bool [N]: whether a molecule passes the usual filters and is as plausible as 95 % of the
    corpus. Only molecules that would enter the ten best such are examined, others are False: the
    curve of the ten best is the same, and the prior need not read them all."""
    result = np.zeros(len(rows), bool)
    best: list[float] = []
    size = 256
    with quiet():
        for first in range(0, len(rows), size):
            chunk = list(range(first, min(first + size, len(rows))))
            least = best[0] if len(best) == 10 else -np.inf
            hopeful = [i for i in chunk if rows[i].reward > least]
            passing = [i for i in hopeful if passes_filters(_molecule(rows[i].smiles))]
            nll = plausible_nll([rows[i].smiles for i in passing], prior)
            for i, value in zip(passing, nll, strict=True):
                if value <= PLAUSIBLE_NLL:
                    result[i] = True
                    (heapq.heappush if len(best) < 10 else heapq.heappushpop)(best, rows[i].reward)
    return result


def measure(run: Path, budget: int) -> dict[str, float | str]:
    """All numbers of a finished run, by the name of their column."""
    prior = load_prior("zinc250k")
    rows = read_rows(run, budget)
    rewards = [row.reward for row in rows]
    found: dict[str, float | str] = {"scores": len(rows)}
    for k in (1, 10, 100):
        found[f"auc_top{k}"] = auc(rewards, k, budget)
    curve = running_top(rewards, 10, budget)
    for mark in MARKS:
        if mark <= budget:
            found[f"top10_at_{mark}"] = float(curve[mark - 1])
            found[f"auc_top10_at_{mark}"] = auc(rewards, 10, mark)
    ok = practical(rows, prior)
    wanted = [r if fine else np.nan for r, fine in zip(rewards, ok, strict=True)]
    found["practical_auc_top10"] = auc(wanted, 10, budget)
    found["practical_top10"] = float(running_top(wanted, 10, budget)[-1])
    best = sorted(rows, key=lambda row: -row.reward)[:100]
    with quiet():
        molecules = [_molecule(row.smiles) for row in best]
        found["filters_top100"] = float(np.mean([passes_filters(m) for m in molecules]))
        found["circles_top100"] = circles(molecules)
    found["nll_top100"] = float(np.median(plausible_nll([r.smiles for r in best], prior)))
    found["diversity_top100"] = _diversity(molecules)
    found["sources"] = " ".join(f"{k}:{v}" for k, v in Counter(r.source for r in rows).items())
    top = Counter(r.source for r in best)
    found["sources_top100"] = " ".join(f"{k}:{v}" for k, v in top.items())
    return found


def _molecule(smiles: str) -> Molecule:
    mol = parse(smiles)
    assert mol is not None
    return Molecule(smiles, mol)


def _diversity(molecules: Sequence[Molecule]) -> float:
    from rdkit import DataStructs

    prints = [m.fingerprint() for m in molecules]
    pairs = [DataStructs.BulkTanimotoSimilarity(p, prints[:i]) for i, p in enumerate(prints) if i]
    return 1.0 - float(np.mean(np.concatenate(pairs))) if pairs else float("nan")

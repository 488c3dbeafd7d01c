"""Thousands of broken configs, SMILES and tables: every mistake must raise one sentence.

    python benchmarks/fuzz.py --cases 10000

prints for each kind the number accepted, the number refused with a sentence (ValueError or OSError,
which the commands print with exit code 2), and the first that ended otherwise.
"""

from __future__ import annotations

import argparse
import gzip
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sequence_tutor.distributed.config_file import load_config
from sequence_tutor.distributed.run_directory.warm_start import read_scored
from sequence_tutor.policies.files.table_reader import read_sequences
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.domains import domain_of
from sequence_tutor.rewards.isolation.reward import IsolatedReward

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
# Values that replace others.
VALUES = [*'"" "x" 0 -1 1.5 1e400 -1e400 nan inf -inf true false [] [1,2] {} [[]] [{}]'.split()]
VALUES += ["{ type = 1 }", '{ type = "sigmoid" }', "1979-05-27", "07:32:00", "9" * 400]
VALUES += ['"\\u0000"', '"\\ud7ff"', "'''\n'''", "0x7fffffffffffffffff", f'"{"x" * 5000}"']
LETTERS = "CNOPSFIBrcnos[]()=#@+-/\\.%0123456789:*$HlKax \t|>~{}\"',;\0é\u202e"
HEADERS = ("smiles", "SMILES", "sequence", "reward", "score", "status", "id", "", "smiles,smiles")
CELLS = ["CCO", "c1ccccc1", "0.5", "-1", "nan", "", '"', '"a,b"', '"a\nb"', "x" * 3000]
CELLS += ["\0", "é", "ok"]
CODES = ("utf-8", "utf-8", "utf-16", "utf-8-sig", "latin-1")
FILES = ("t.csv", "t.smi", "t.txt", "t.tsv", "t.csv.gz", "t.parquet", "t", "t.sdf")
MOLECULES = (
    "CC(=O)Oc1ccccc1C(=O)O",
    "C[C@@H]1CC(Nc2cncc(-c3nncn3C)c2)C[C@@H](C)C1",
    "F/C=C/F.[Na+]",
)


def mutated(text: str, random_: random.Random, letters: str, most: int = 6) -> str:
    """A text with up to `most` pieces cut out, doubled, moved or replaced."""
    for _ in range(random_.randint(1, most)):
        i = random_.randrange(len(text) + 1)
        j = min(len(text), i + random_.randint(0, 8))
        piece = random_.choice(["", text[i:j] * 2, random_.choice(letters), text[i:j][::-1]])
        text = text[:i] + piece + text[j:]
    return text


def config_text(examples: list[str], random_: random.Random) -> str:
    """One of the examples with values, lines or letters changed."""
    lines = random_.choice(examples).splitlines()
    for _ in range(random_.randint(1, 4)):
        i = random_.randrange(len(lines))
        kind = random_.randrange(5)
        if kind == 0 and "=" in lines[i]:
            lines[i] = f"{lines[i].split('=')[0]}= {random_.choice(VALUES)}"
        elif kind == 1:
            lines.insert(i, random_.choice(lines))
        elif kind == 2:
            del lines[i]
            lines = lines or [""]
        elif kind == 3:
            lines[i] = mutated(lines[i], random_, LETTERS, 2)
        else:
            key = random_.choice(["invalid", "failed", "weight", "gamma", "batch", "count", "name"])
            lines.insert(i, f"{key} = {random_.choice(VALUES)}")
    return "\n".join(lines)


def table_bytes(random_: random.Random) -> bytes:
    """The bytes of a table that is often a malformed CSV."""
    rows = [[random_.choice(HEADERS) for _ in range(random_.randint(1, 4))]]
    for _ in range(random_.randint(0, 8)):
        rows.append([random_.choice(CELLS) for _ in range(random_.randint(1, 5))])
    text = random_.choice(["\n", "\r\n", "\r"]).join(
        random_.choice([",", ",", ";", "\t"]).join(row) for row in rows
    )
    data = text.encode(random_.choice(CODES), "replace")
    if random_.random() < 0.3:
        i = random_.randrange(len(data) + 1)
        data = data[:i] + random_.randbytes(random_.randint(1, 9)) + data[i + 1 :]
    return gzip.compress(data) if random_.random() < 0.1 else data


def try_config(folder: Path, random_: random.Random, examples: list[str]) -> Callable[[], object]:
    path = folder / "config.toml"
    path.write_text(config_text(examples, random_), encoding="utf-8")

    def call() -> object:
        run = load_config(path)
        return build_reward(run.reward, domain_of(run.encoding).name)

    return call


def try_table(folder: Path, random_: random.Random) -> Callable[[], object]:
    name = random_.choice(
        ["t.csv", "t.smi", "t.txt", "t.tsv", "t.csv.gz", "t.parquet", "t", "t.sdf"]
    )
    path = folder / name
    path.write_bytes(table_bytes(random_))
    column = random_.choice([None, None, "smiles", "id", "x"])

    def call() -> object:
        if random_.random() < 0.5:
            return read_scored(path, column)
        return list(read_sequences(path, column))

    return call


def report(kind: str, outcomes: list[str], slowest_s: float, found: list[str]) -> bool:
    """Print one line of the table and the first failure. Returns whether there was no failure."""
    counts = {name: outcomes.count(name) for name in ("accepted", "refused", "traceback")}
    row = "".join(f"{counts[name]:>12,}" for name in counts)
    print(f"{kind:<10}{len(outcomes):>10,}{row}{slowest_s:>14.2f}", flush=True)
    for text in found[:3]:
        print(text, file=sys.stderr)
    return not counts["traceback"]


def fuzz(kind: str, cases: int, make: Callable[[], Callable[[], object]]) -> bool:
    outcomes, found, slowest_s = [], [], 0.0
    for _ in range(cases):
        call, started = make(), time.perf_counter()
        try:
            call()
            outcomes.append("accepted")
        except (ValueError, OSError) as error:
            sentence = str(error)
            outcomes.append("refused" if sentence.strip() else "traceback")
            if not sentence.strip():
                found.append(f"{kind}: an error without a text: {error!r}")
        except Exception:
            outcomes.append("traceback")
            found.append(traceback.format_exc())
        slowest_s = max(slowest_s, time.perf_counter() - started)
    return report(kind, outcomes, slowest_s, found)


def fuzz_smiles(cases: int, random_: random.Random) -> bool:
    """Compute an identity and a score of each, in processes that may die."""
    config = RewardConfig.model_validate(
        {"component": [{"name": n} for n in ("qed", "sa", "logp", "tpsa", "ring_count")]}
    )
    start = [
        "CC(=O)Oc1ccccc1C(=O)O",
        "C[C@@H]1CC(Nc2cncc(-c3nncn3C)c2)C[C@@H](C)C1",
        "F/C=C/F.[Na+]",
    ]
    texts = [mutated(random_.choice(start), random_, LETTERS) for _ in range(cases)]
    started = time.perf_counter()
    with IsolatedReward(config, "molecules") as reward:
        identities = reward.identify(texts)
        readable = [t for t, one in zip(texts, identities, strict=True) if one.lost is None]
        scores = reward.score(readable)
    rows = zip(readable, scores.status.tolist(), scores.errors, scores.rewards, strict=True)
    valid = {t for t, one in zip(texts, identities, strict=True) if one.key is not None}
    outcomes, found = [], []
    for text, status, error, value in rows:
        agrees = (status == 0) == (text in valid) and (np.isfinite(value) or status != 0)
        explained = bool(error) == (status != 0)
        ok = agrees and explained and status in (0, 1)
        outcomes.append(("accepted" if status == 0 else "refused") if ok else "traceback")
        if not ok:
            found.append(f"{text!r}: status {status}, {error!r}, {value}")
    for text, one in zip(texts, identities, strict=True):
        if one.lost is not None:
            outcomes.append("traceback")
            found.append(f"{text!r}: {one.reason}")
    return report("smiles", outcomes, (time.perf_counter() - started) / cases, found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    random_ = random.Random(options.seed)
    examples = [path.read_text() for path in sorted(EXAMPLES.glob("*.toml"))]
    names = "".join(f"{name:>12}" for name in ("accepted", "refused", "traceback"))
    print(f"{'kind':<10}{'cases':>10}{names}{'slowest, s':>14}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        good = fuzz("configs", options.cases, lambda: try_config(folder, random_, examples))
        good &= fuzz("tables", options.cases, lambda: try_table(folder, random_))
    good &= fuzz_smiles(options.cases, random_)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()

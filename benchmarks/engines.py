"""The local engine beside Ray's synchronous mode: first score, whole run, scores per CPU second.

    python benchmarks/engines.py

Processor time is that of the whole machine, so nothing else should run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import markdown

REWARD = """
import time
def qed(smiles):
    from rdkit import Chem
    from rdkit.Chem import QED
    with open({first!r}, "a") as file:
        file.write(f"{{time.time()}}\\n")
    return QED.qed(Chem.MolFromSmiles(smiles))
"""
CONFIG = """
mode = "synchronous"
[reward]
[[reward.component]]
name = "python"
function = "timed:qed"
[stop]
scores = {scores}
"""


def busy_s() -> float:
    """Processor seconds of all cores since the machine started, idle and waiting left out."""
    numbers = [int(n) for n in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    return (sum(numbers) - numbers[3] - numbers[4]) / os.sysconf("SC_CLK_TCK")


def measure(local: bool, scores: int) -> tuple[float, float, float]:
    """Seconds to the first score and to the end, and scores per CPU second."""
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder, "calls")
        Path(folder, "timed.py").write_text(REWARD.format(first=str(first)))
        Path(folder, "run.toml").write_text(CONFIG.format(scores=scores))
        command = [sys.executable, "-m", "sequence_tutor.distributed.commands.cli", "optimize"]
        started, before = time.time(), busy_s()
        subprocess.run(
            [*command, "run.toml", "--out", "run", *["--local"] * local],
            cwd=folder,
            check=True,
            capture_output=True,
        )
        spent, seconds = busy_s() - before, time.time() - started
        return float(first.read_text().split()[0]) - started, seconds, scores / spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scores", type=int, default=512)
    options = parser.parse_args()
    found: dict[bool, list[tuple[float, float, float]]] = {True: [], False: []}
    for _ in range(options.rounds):  # in turn
        for local in found:
            found[local].append(measure(local, options.scores))
    rows: list[list[object]] = []
    for local, several in found.items():
        medians = [statistics.median(numbers) for numbers in zip(*several, strict=True)]
        name = "local engine" if local else "Ray, synchronous"
        rows.append([name, *(f"{m:.1f}" for m in medians)])
    print(markdown(["engine", "first score, s", "whole run, s", "scores per CPU second"], rows))


if __name__ == "__main__":
    main()

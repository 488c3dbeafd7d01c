"""What a melody run's best and its policy do that rules can be gamed by: wide jumps, last leaps.

python benchmarks/melody_best.py runs/melodies
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from common import load_prior, markdown

from sequence_tutor.rewards.melodies.features import FEATURES, LEAP
from sequence_tutor.rewards.melodies.spelling import read

OCTAVE = 12  # semitones
SAMPLES = 1000


def describe(texts: Sequence[str], nll: float) -> list[float]:
    """Shares of melodies with a jump of more than an octave, and of those that end on a leap; mean
    range in semitones; nll."""
    melodies = [read(text) for text in texts]
    jumps = [FEATURES["largest_interval"].measure(melody) > OCTAVE for melody in melodies]
    ends = [melody.notes[-2:] for melody in melodies]
    leaps = [len(end) == 2 and abs(end[1][1] - end[0][1]) >= LEAP for end in ends]
    ranges = [FEATURES["pitch_range"].measure(melody) for melody in melodies]
    return [float(np.mean(values)) for values in (jumps, leaps, ranges)] + [nll]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--prior", default="lieder")
    options = parser.parse_args()
    prior = load_prior(options.prior)
    with (options.run / "top.csv").open(encoding="utf-8") as file:
        best = [row["sequence"] for row in csv.DictReader(file)]
    groups = {
        "prior": prior.sample(SAMPLES, 0),
        "policy": load_prior(options.run).sample(SAMPLES, 0),
        "hundred best": best,
        "best ten": best[:10],
    }
    columns = ["", "jump over an octave", "ends on a leap", "range", "nll"]
    rows: list[list[object]] = [
        [name, *describe(texts, float(-prior.log_prob(texts).mean()))]
        for name, texts in groups.items()
    ]
    print(markdown(columns, rows))


if __name__ == "__main__":
    main()

"""Fits and measures the estimate of the upbeat; see policies/pieces/upbeat.py.

    pip install --target /tmp/m21 music21
    python benchmarks/upbeat.py /tmp/m21/music21/corpus --write

Reads ABC files of music21's corpus, whose bar lines are known, counts from the first note of each
tune and asks for the phase. A collection is measured with tables of the others; the Essen folk
songs, whose licence isn't free, are never in the tables.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from sequence_tutor.policies.melody_time import SAME_AS
from sequence_tutor.policies.pieces.line import skyline
from sequence_tutor.policies.pieces.piece import ReadError
from sequence_tutor.policies.pieces.read import read_pieces
from sequence_tutor.policies.pieces.scores import Scores
from sequence_tutor.policies.pieces.upbeat import CLEAR, EDGES, STEPS, Tables, classes

# How many files of each collection are read: those of all but the first hold many tunes.
COLLECTIONS = {"ryansMammoth": 330, "oneills1850": 6, "airdsAirs": 2, "essenFolksong": 4}
NEVER_FITTED = "essenFolksong"
METRES = {"4/4": 16, "3/4": 12, "6/8": 12, "2/4": 8}  # and the positions of a bar
LEAST_NOTES, LEAST_TUNES = 16, 15
WRITTEN = Path(__file__).parents[1] / "policies" / "pieces" / "upbeat.json"

Tune = tuple[np.ndarray, int]  # onsets in sixteenths from the first note, and its position


def tunes(folder: Path, files: int, scores: Scores) -> dict[str, list[Tune]]:
    """The tunes of a collection by metre, those with one metre and regular bars."""
    found: dict[str, list[Tune]] = {metre: [] for metre in METRES}
    paths = sorted(folder.glob("*.abc"))
    random.Random(5).shuffle(paths)
    for path in paths[:files]:
        try:
            pieces = read_pieces(path.name, path.read_bytes(), scores)
        except ReadError:
            continue
        for piece in pieces:
            section, line = piece.sections[0], skyline(piece.parts[0].notes)
            metre = f"{section.numerator}/{section.denominator}"
            metre = SAME_AS.get(metre, metre)
            if len(piece.sections) > 1 or len(line) < LEAST_NOTES or metre not in METRES:
                continue
            onsets = np.unique([round(STEPS * (note.start - line[0].start)) for note in line])
            position = round(STEPS * (line[0].start - section.first_bar_line)) % METRES[metre]
            found[metre].append((onsets, position))
    return found


def counts(data: Iterable[Tune], positions: int) -> dict[str, list]:
    """Counts of positions, as `Tables.of_counts` takes them."""
    times = np.zeros((2 * len(EDGES), positions), int)
    first, last = np.zeros(positions, int), np.zeros(positions, int)
    for onsets, position in data:
        places = (onsets + position) % positions
        np.add.at(times, (classes(onsets), places[:-1]), 1)
        first[places[0]] += 1
        last[places[-1]] += 1
    return {"times": times.tolist(), "first": first.tolist(), "last": last.tolist()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path, help="music21's folder `corpus`")
    parser.add_argument("--write", action="store_true", help="write the tables that ship")
    arguments = parser.parse_args()
    with Scores() as scores:
        data = {
            name: tunes(arguments.corpus / name, files, scores)
            for name, files in COLLECTIONS.items()
        }
    fitted = [name for name in data if name != NEVER_FITTED]
    print(f"{'metre':6}{'collection':16}{'tunes':>6}{'none':>7}{'estimate':>10}{'used':>7}")
    shipped = {}
    for metre, positions in METRES.items():
        for held_out in data:
            train = [t for name in fitted if name != held_out for t in data[name][metre]]
            test = data[held_out][metre]
            if min(len(train), len(test)) < LEAST_TUNES:
                continue
            table = Tables.of_counts(counts(train, positions))
            found = []
            for onsets, position in test:
                likelihoods = table.log_likelihoods(onsets)
                clear = likelihoods.max() - likelihoods[0] > CLEAR
                found.append((int(likelihoods.argmax()) if clear else 0, position))
            none = np.mean([position == 0 for _, position in found])
            right = np.mean([phase == position for phase, position in found])
            used = np.mean([phase != 0 for phase, _ in found])
            row = f"{metre:6}{held_out:16}{len(test):6}{none:7.2f}{right:10.2f}{used:7.2f}"
            print(row)
        everything = [tune for name in fitted for tune in data[name][metre]]
        shipped[metre] = counts(everything, positions)
    if arguments.write:
        WRITTEN.write_text(json.dumps(shipped) + "\n")


if __name__ == "__main__":
    main()

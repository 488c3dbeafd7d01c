"""MIDI written by `rewards` reads back in `policies` as the same tokens."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from sequence_tutor.policies.encodings.melody import MelodyEncoding
from sequence_tutor.policies.melody_time import Time
from sequence_tutor.policies.melody_tokens import HOLD, OFF, TOKENS
from sequence_tutor.policies.pieces.line import notes_to_tokens, quantise, skyline
from sequence_tutor.policies.pieces.melody import melody_of
from sequence_tutor.policies.pieces.midi import read_midi
from sequence_tutor.rewards.melodies import time
from sequence_tutor.rewards.melodies.rendering import write_midi
from sequence_tutor.rewards.melodies.spelling import TEXTS, parse


def canonical(random: np.random.Generator) -> np.ndarray:
    """A random melody without a note-off in silence: int16 [T]."""
    length = int(random.integers(1, 200))
    events = random.choice([0, 1, 2], length, p=random.dirichlet([2, 1, 1]))
    tokens = np.where(events == 2, random.integers(2, 38, length), events).astype(np.int16)
    sounding = False
    for step, token in enumerate(tokens):
        if token == OFF and not sounding:
            tokens[step] = HOLD
        elif token != HOLD:
            sounding = token != OFF
    return tokens


def read_back(path: Path, length: int) -> np.ndarray:
    (part,) = read_midi(path.read_bytes()).parts
    line = quantise(skyline(part.notes), 4)
    assert line.moved == line.collided == line.vanished == 0
    return notes_to_tokens(line.notes, length)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "melody.mid"


def test_tokens_round_trip_through_midi(path: Path):
    random = np.random.default_rng(0)
    encoding = MelodyEncoding.fit([])
    starts, ends, offs = set(), set(), 0
    for _ in range(400):
        tokens = canonical(random)
        if tokens.max() < 2:
            continue
        starts.add(int(tokens[0]) >= 2)
        ends.add(int(tokens[-1]))
        offs += int((tokens == OFF).sum())
        write_midi(encoding.decode(tokens), path)
        assert read_back(path, len(tokens)).tolist() == tokens.tolist()
    # control: silence and sound at both ends were tried
    assert starts == {False, True} and {HOLD, OFF, 37} <= ends and offs > 1000


def test_control_a_note_off_in_silence_is_not_canonical(path: Path):
    encoding = MelodyEncoding.fit([])
    write_midi("C4.-.", path)
    assert encoding.decode(read_back(path, 4)) == "C4.--"


def test_whole_files_read_back_as_segments(path: Path):
    first, second = "---C4---D4-.-E4---F4---G4---", "G4---A4---C5-------"
    write_midi(first + "." + "-" * 24 + second, path)
    segments = melody_of(read_midi(path.read_bytes()), Time()).segments
    found = ["".join(TOKENS[t] for t in s) for s in segments]
    # from the bar line before the first note to the one after the last
    assert found == [first + "." + "-" * 8, second]


@pytest.mark.parametrize("grid", range(14))
def test_policies_and_rewards_have_the_same_times(grid: int):
    """What one refuses, so does the other; 2/2 alone is read as 4/4 by encodings."""
    agreed = 0
    for count, unit in itertools.product(range(34), (1, 2, 4, 8, 16, 32, 3)):
        if (count, unit) == (2, 2):
            continue
        try:
            ours = Time(count, unit, grid)
        except ValueError:
            with pytest.raises(ValueError):
                time.Time(count, unit, grid)
            continue
        theirs = time.Time(count, unit, grid)
        assert (ours.header, ours.bar, ours.beat) == (theirs.header, theirs.bar, theirs.beat)
        agreed += 1
    assert bool(agreed) == (grid in time.GRIDS)


def test_policies_and_rewards_have_the_same_token_names():
    assert TOKENS == TEXTS
    encoding = MelodyEncoding.fit([])
    for token, text in enumerate(TOKENS):
        parsed = parse(text)
        assert parsed is not None and parsed.tokens.tolist() == [token]
        assert encoding.encode(text).tolist() == [token]

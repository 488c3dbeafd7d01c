"""Whole runs of melodies with gaps, a rhythm or a contour: what every row keeps, and files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pretty_midi
import pytest
from local_runs import rows
from rich.console import Console

from sequence_tutor.distributed.commands.optimize import Options, optimize
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError, load_config, parse_config
from sequence_tutor.distributed.given_parts import sampling_encoding
from sequence_tutor.distributed.run_directory.starting_prior import starting_prior
from sequence_tutor.distributed.run_directory.warm_start import WarmStart
from sequence_tutor.distributed.stages import stage_runs
from sequence_tutor.policies.prior import load_prior

TUNE = "C4---D4---E4---F4---" + "G4---E4---C4-------"
NOTE = "[A-G]#?[345]"


def run_with(generate: dict[str, Any], **tables: Any) -> RunConfig:
    config = {
        "encoding": "melody",
        "prior": "lieder",
        "mode": "synchronous",
        "generate": generate,
        "reward": {"aggregate": "sum", "component": [{"name": "music_theory"}]},
        "actors": {"batch": 24},
        "learner": {"batch": 16, "temperature": 2.0},
        "replay": {"min_rows": 16, "ratio": 1.0, "shards": 1},
        "stop": {"scores": 60},
    }
    return parse_config(config | tables)


def rising(text: str) -> list[int]:
    """Of each note but the first: 1 if it is higher than the one before, -1 or 0."""
    place = {f"{n}{o}": 12 * o + i for o in (3, 4, 5) for i, n in enumerate(
        ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"))}  # fmt: skip
    return np.sign(np.diff([place[name] for name in re.findall(NOTE, text)])).tolist()


def keeps(key: str, text: str) -> bool:
    """Whether a melody keeps what is given of TUNE, by its text alone."""
    if key == "fill":
        return re.fullmatch(rf"C4---D4---E4---F4---(?:{NOTE}|-|\.){{12}}C4---", text) is not None
    same = re.sub(NOTE, "X", text) == re.sub(NOTE, "X", TUNE)
    return same and (key == "rhythm" or rising(text) == rising(TUNE))


MOLECULES = {"encoding": "smiles", "prior": "zinc250k", "reward": {"component": [{"name": "qed"}]}}
GIVEN = {"fill": "C4---D4---E4---F4---" + "_" * 12 + "C4---", "rhythm": TUNE, "contour": TUNE}


@pytest.mark.parametrize(
    "key", ["fill", pytest.param("rhythm", marks=pytest.mark.nightly), "contour"]
)
def test_every_row_keeps_what_is_given(key: str, tmp_path: Path, quiet: Console):
    search = {"proposers": {"genetic": {"batch": 24}}, "screen": {"batch": 16, "start": 24}}
    run = run_with({key: GIVEN[key]}, **search)
    table = tmp_path / "known.csv"  # to learn from: two melodies that keep it, and one that doesn't
    known = [TUNE, TUNE.replace("E4", "D#4"), "C4" + "-" * 31]
    if key == "fill":
        known[:2] = [f"C4---D4---E4---F4---{gap}C4---" for gap in ("G4---" * 3, "-" * 12)]
    assert [keeps(key, text) for text in known] == [True, True, False]
    table.write_text("sequence,reward\n" + "".join(f"{text},1\n" for text in known))
    warm = Options(local=True, warm_start=WarmStart(str(table)))
    optimize(run, tmp_path / "run", quiet, warm)
    record = rows(tmp_path / "run")
    assert len(record) == 62 and {"policy", "genetic", "warm-start"} <= set(record.sources)
    assert all(keeps(key, text) for text in record.sequences)
    assert (record.lengths == 32).all()  # all can be learned from
    encoding = starting_prior(run).encoding
    assert encoding.constraint is not None
    encoding.constraint.masks(record.tokens, record.lengths)  # raises for other episodes
    # the tuned policy keeps it too, wherever it is loaded
    policy = load_prior(tmp_path / "run")
    samples = policy.sample(50, seed=0)
    assert all(keeps(key, text) for text in samples) and len(set(samples)) > 10
    assert np.isfinite(policy.log_prob(samples)).all()


@pytest.mark.parametrize("key", GIVEN)
def test_every_sample_keeps_what_is_given(key: str):
    prior = load_prior("lieder")
    prior.encoding = sampling_encoding(prior, {key: GIVEN[key]})
    samples = prior.sample(300, seed=1)
    assert all(keeps(key, text) for text in samples) and len(set(samples)) > 150
    free = load_prior("lieder").sample(300, seed=1)
    assert np.mean([keeps(key, text) for text in free]) < 0.1


def write(
    path: Path, notes: list[tuple[int, float, float]], metre: tuple[int, int] = (4, 4)
) -> str:
    """A MIDI file of notes with times in quarters."""
    midi = pretty_midi.PrettyMIDI(initial_tempo=60)
    midi.time_signature_changes = [pretty_midi.TimeSignature(*metre, 0)]
    piano = pretty_midi.Instrument(0)
    piano.notes = [pretty_midi.Note(90, *note) for note in notes]
    midi.instruments = [piano]
    midi.write(str(path))
    return str(path)


@pytest.fixture
def song(tmp_path: Path) -> str:
    """TUNE as a file."""
    pitches = [60, 62, 64, 65, 67, 64]
    notes = [(p, float(i), i + 1.0) for i, p in enumerate(pitches)]
    return write(tmp_path / "song.mid", [*notes, (60, 6.0, 8.0)])


def test_a_file_is_text_in_the_config(song: str, tmp_path: Path):
    found = [run_with({"fill": song, "bars": 2}), run_with({"rhythm": song})]
    found.append(run_with({"contour": song}))
    generate = [run.generate for run in found]
    assert generate[0] is not None and generate[0].bars is None
    assert generate[0].fill == "C4---D4---E4---F4---" + "_" * 16
    assert generate[1] is not None and generate[1].rhythm == TUNE
    assert generate[2] is not None and generate[2].contour == TUNE
    prior = load_prior("lieder")
    prior.encoding = sampling_encoding(prior, {"fill": song, "bars": "1"})
    assert all(text.endswith("G4---E4---C4-------") for text in prior.sample(5, 0))
    (tmp_path / "run.toml").write_text(
        'encoding = "melody"\nprior = "lieder"\nstop.scores = 5\n'
        'reward.component = [{ name = "music_theory" }]\n'
        f'[[stage]]\nstop.scores = 2\n[[stage]]\ngenerate.rhythm = "{song}"\n'
    )
    first, second = stage_runs(load_config(tmp_path / "run.toml"))
    assert first.generate is None
    assert second.generate is not None and second.generate.rhythm == TUNE


def test_a_file_that_cannot_be_kept(tmp_path: Path):
    def refused(name: str, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            run_with({"fill": str(tmp_path / name), "bars": "1"})

    refused("none.mid", "generate.fill: there is no file .*none.mid")
    write(tmp_path / "triplet.mid", [(60, 0, 1 / 3), (62, 1 / 3, 2 / 3), (64, 2 / 3, 1)])
    refused("triplet.mid", "2 of 3 notes don't begin on a step of the prior's grid, 4 steps")
    write(tmp_path / "wide.mid", [(36, 0, 1), (60, 1, 2), (96, 2, 3)])
    refused("wide.mid", "of 3 notes are lower than C3 or higher than B5")
    write(tmp_path / "waltz.mid", [(60, 0, 3)], (3, 4))
    refused("waltz.mid", "has no notes in 4/4; it is in 3/4")
    write(tmp_path / "short.mid", [(60, 0, 4)])
    refused("short.mid.txt", "generate.fill: .*")
    with pytest.raises(ConfigError, match=r"generate.fill: bars = '2': the melody has bars 1 to 1"):
        run_with({"fill": str(tmp_path / "short.mid"), "bars": "2"})


@pytest.mark.parametrize(
    ("generate", "tables", "message"),
    [
        ({"fill": "C4_"}, {}, "has 2 steps, and max_length is 32: give 32 steps, or set max_le"),
        ({"fill": TUNE}, {}, "lieder: fill has no gap: write _"),
        ({"fill": "C4_", "rhythm": "X-"}, {}, "give one of fill and rhythm"),
        ({"start": "C4", "contour": "XX"}, {}, "give one of start and contour"),
        ({"bars": "2"}, {}, "bars are those of fill"),
        ({"contour": "X" + "^" * 36}, {"max_length": 37}, "would go below C3 or above B5"),
        ({"rhythm": "3/4:X---"}, {}, r"generate.rhythm: .* is 3/4, grid 4, and the time of the"),
        ({"fill": "C1---" + "_" * 28}, {}, "notes are C3 to B5"),
        ({"fill": "C_"}, MOLECULES, "molecules have no fill; give scaffold, fragments or start"),
    ],
)
def test_mistakes(
    generate: dict[str, Any], tables: dict[str, Any], message: str, tmp_path: Path, quiet: Console
):
    with pytest.raises(ValueError, match=message):
        run = run_with(generate, **tables)
        optimize(run, tmp_path / "run", quiet, Options(local=True))
    assert not (tmp_path / "run").exists()

"""The commands on melodies: MIDI in, tables and renderings out, and mistakes."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sequence_tutor.policies.encodings.melody import MelodyEncoding
from sequence_tutor.policies.pretrain import Pretraining, PretrainSettings
from sequence_tutor.policies.prior import load_prior
from sequence_tutor.rewards.melodies import RULE_NAMES
from sequence_tutor.rewards.melodies.rendering import write_midi

BEATS = ("C4---", "D4---", "E4-.-", "F4---", "G4-A4-", "C5---")
KINDS = ("abc", "mid", "musicxml", "svg", "wav")  # of the files of a melody
PAPER = ["paper: Note RNN", "paper: Q", "paper: Psi", "paper: G"]
THEORY = '[[reward.component]]\nname = "music_theory"\n'
TINY = {"hidden": 8, "layers": 1, "embedding": 4, "epochs": 1, "validation": 0.25}
SMALL = [part for k, v in TINY.items() for part in (f"--{k}", v)]
SMALL += ["--encoding", "melody", "--report-samples", 0]


Command = Callable[..., Any]


def refused(done: Any, *parts: str) -> None:
    done.refused(*parts)


def table(done: Any) -> tuple[list[str], dict[str, list[str]]]:
    """The columns of the printed table, and the cells of each row."""
    assert done.code == 0, done
    lines = [line.strip("┃│").replace("┃", "│").split("│") for line in done.out.splitlines()]
    cells = [[cell.strip() for cell in line] for line in lines if len(line) > 1]
    return cells[0][1:], {row[0]: row[1:] for row in cells[1:]}


def tunes(n: int, steps: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices(BEATS, k=steps // 4)) for _ in range(n)]


def midi(folder: Path, melodies: list[str]) -> Path:
    folder.mkdir()
    for i, text in enumerate(melodies):
        write_midi(text, folder / f"{i}.mid")
    return folder


@pytest.fixture(scope="module")
def prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prior of 32 steps, with its data; trained for one epoch."""
    directory = tmp_path_factory.mktemp("melody_prior")
    settings = PretrainSettings(cell="gru", **TINY)
    training = Pretraining(MelodyEncoding.fit([]), tunes(40, 32), settings, "cpu")
    made = training.run(directory, lambda _: None)
    made.data = training.data
    made.save(directory)
    return directory


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_pretrain_reads_midi(command: Command, tmp_path: Path, kind: str):
    data, out = midi(tmp_path / "midi", tunes(6, 64)), tmp_path / "prior"
    (data / "broken.mid").write_text("Dear diary")
    if kind == "zip":
        files = sorted(data.iterdir())
        data = tmp_path / "midi.zip"
        with zipfile.ZipFile(data, "w") as archive:
            for file in files:
                archive.write(file, file.name)
    done = command("pretrain", data, "--out", out, *SMALL, "--max-length", 16)
    assert done.code == 0, done
    assert "windows of 16 steps (4/4, grid 4) from 6 of 6 files" in done.out
    assert "1 unusable files left out" in done.out
    assert "broken.mid: it is not MIDI" in done.out
    made = load_prior(out)
    assert (made.encoding.name, made.encoding.max_length, made.data) == ("melody", 16, None)


def test_pretrain_on_a_single_file(command: Command, tmp_path: Path):
    (tune,) = tunes(1, 512)
    data = midi(tmp_path / "midi", [tune]) / "0.mid"
    out = tmp_path / "prior"
    done = command("pretrain", data, "--out", out, *SMALL, "--bars", 1, "--include-data")
    assert done.code == 0, done
    assert "there is one piece alone, so stretches of it are held out" in done.out
    made = load_prior(out)
    assert made.encoding.max_length == 16 and made.data is not None
    assert 0 < len(made.data.held_out) < len(made.data.training)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--metre", "3/4"), "--metre can't be chosen with --encoding smiles"),
        (("--track", "1", "--bars", 2), "--bars and --track can't be chosen with"),
        (("--encoding", "melody", "--metre", "4/5"), "4/5 is not a metre"),
        (("--encoding", "melody", "--max-length", 20), "20 steps aren't whole bars"),
        (("--encoding", "melody", "--bars", 2, "--max-length", 32), "say the same"),
    ],
)
def test_options_of_melodies_that_are_wrong(
    command: Command, tmp_path: Path, options: tuple[object, ...], sentence: str
):
    data = midi(tmp_path / "midi", tunes(2, 64))
    refused(command("pretrain", data, "--out", tmp_path / "prior", *options), sentence)


def test_pretrain_validates_on_given_data_and_includes_it(command: Command, tmp_path: Path):
    data, other = midi(tmp_path / "a", tunes(6, 64)), midi(tmp_path / "b", tunes(2, 64, seed=1))
    out = tmp_path / "prior"
    given = ("--validation-data", other, "--include-data")
    done = command("pretrain", data, "--out", out, *SMALL, *given)
    assert done.code == 0, done
    brought = load_prior(out).data
    assert brought is not None
    for path, part in ((data, brought.training), (other, brought.held_out)):
        assert part == MelodyEncoding.read(path, lambda _: None, 32).sequences
    assert brought.training and not set(brought.training) & set(brought.held_out)


def test_evaluate_compares_a_prior_with_its_data(command: Command, prior: Path):
    header, rows = table(command("evaluate", prior, "-n", 20))
    assert header == ["data", "uniform random", "prior"]
    for name in ("nll", "novel", "overlap pitch class"):
        assert all(rows[name][:3]) and not any(rows[name][3:])
    assert "reward" not in rows and "kl to prior" not in rows


def test_evaluate_compares_a_policy_with_its_prior(command: Command, prior: Path, tmp_path: Path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.toml").write_text(f'encoding = "melody"\nprior = "{prior}"\n{THEORY}')
    policy = load_prior(prior)
    policy.network.head.bias.data[0] += 2.0  # holds become more frequent
    policy.save(run / "policy")
    (run / "scores").mkdir()
    done = command("evaluate", run, "-n", 50, "--report-samples", 20)
    header, rows = table(done)
    assert header == ["data", "uniform random", "prior", "tuned policy"]
    assert all(rows["nll"][:4]) and not any(rows["nll"][4:])
    assert "20 samples each of prior and tuned policy" in done.out
    rules = [f"reward: {n.replace('_', ' ')} (corrected)" for n in RULE_NAMES]
    for name in ("reward", *rules):
        assert len(rows[name]) == 2 and all(rows[name]), name  # a table of its own
    assert [bool(cell) for cell in rows["kl to prior"]] == [n == "tuned policy" for n in header]
    assert float(rows["kl to prior"][3]) > 1
    assert float(rows["nll"][3]) < float(rows["nll"][2])  # holds were frequent before


def test_evaluate_reads_midi(command: Command, tmp_path: Path):
    folder = midi(tmp_path / "songs", tunes(3, 64))
    (folder / "broken.mid").write_text("Dear diary")
    done = command("evaluate", folder, "--encoding", "melody")
    header, rows = table(done)
    assert header == ["songs"]  # no columns of the paper
    assert rows["valid"] == ["1"] and "nll" not in rows
    assert "broken.mid: it is not MIDI" in done.err


def test_what_only_the_paper_counts_is_shown_on_request(
    command: Command, tmp_path: Path, prior: Path
):
    folder = midi(tmp_path / "songs", tunes(3, 64))
    header, rows = table(command("evaluate", folder, "--paper"))
    assert header == ["songs", *PAPER] and rows["not in key (paper)"][2] == "0.01"
    assert "not in key per note (paper)" in rows
    header, rows = table(command("evaluate", prior, "-n", 20))
    assert "not in key per note (paper)" in rows and list(rows)[:2] == ["sequences", "valid"]
    assert rows["sequences"][header.index("prior")] == "20"
    for name in ("not in key", "in motif", "autocorrelation 1", "starts with tonic"):
        assert f"{name} (paper)" not in rows


def test_evaluate_guesses_the_encoding_of_a_file(command: Command, tmp_path: Path):
    melodies = tmp_path / "melodies.txt"
    melodies.write_text("C4-------\nD4---E4---\n" * 5)
    header, rows = table(command("evaluate", melodies))
    assert header == ["melodies.txt"] and rows["sequences"] == ["10"]
    assert "not in key per note (paper)" in rows and "mean qed" not in rows
    done = command("evaluate", melodies, "--encoding", "smiles")
    refused(done, "no valid sequence of --encoding smiles", "--encoding melody")
    molecules = tmp_path / "molecules.txt"
    molecules.write_text("CCO\nC1\n")
    rows = table(command("evaluate", molecules))[1]
    assert "mean qed" in rows and "mean ring penalty" not in rows
    assert "mean ring penalty" in table(command("evaluate", molecules, "--paper"))[1]
    molecules.write_text("C1\nC(\n")
    refused(command("evaluate", molecules), "no valid sequence of --encoding smiles")


@pytest.mark.parametrize("word", ["evaluate", "sample"])
def test_a_run_that_has_not_finished_is_one_sentence(
    command: Command, prior: Path, tmp_path: Path, word: str
):
    run = tmp_path / "run"
    (run / "scores").mkdir(parents=True)
    (run / "config.toml").write_text(f'encoding = "melody"\nprior = "{prior}"\n{THEORY}')
    refused(command(word, run), "a run that has not finished", "--resume")


def test_sample_renders_melodies(command: Command, prior: Path, tmp_path: Path):
    arguments = ("sample", prior, "-n", 3, "--seed", 1, "--max-length", 64)
    done = command(*arguments, "--render", tmp_path / "seen")
    assert done.code == 0 and done.out == ""
    files = {p.name: p.stat().st_size for p in (tmp_path / "seen").iterdir()}
    names = [f"melody-0{i}.{kind}" for i in (1, 2, 3) for kind in KINDS]
    assert sorted(files) == [*names, "piano_rolls.png"]
    sixteenth = 22_050 // 8
    assert min(files[n] for n in names if n.endswith("wav")) > 64 * sixteenth * 2
    lines = command(*arguments).out.split()
    assert [len(MelodyEncoding.fit([]).encode(line)) for line in lines] == [64] * 3
    again = command(*arguments, "--render", tmp_path / "seen")
    refused(again, "seen exists already; choose another --render")


def test_pretrain_on_a_folder_without_midi_is_one_sentence(command: Command, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("C4---")
    done = command("pretrain", tmp_path, "--out", tmp_path / "prior", *SMALL)
    refused(done, "has no file of music, none named *.mid, ")
    assert not (tmp_path / "prior").exists()


@pytest.mark.parametrize(
    ("before", "after", "parts"),
    [
        ('encoding = "tune"', "", ["unknown encoding 'tune'; there are: melody, smiles"]),
        ("", "", ["encodes melody, but encoding = 'smiles'"]),
        ('encoding = "melody"', "weights = { moti = 2.0 }", ["'moti'", "did you mean 'motif'?"]),
    ],
)
def test_a_wrong_melody_config_is_one_sentence(
    command: Command, prior: Path, tmp_path: Path, before: str, after: str, parts: list[str]
):
    config, out = tmp_path / "run.toml", tmp_path / "out"
    config.write_text(f'{before}\nprior = "{prior}"\n{THEORY}{after}\n')
    refused(command("optimize", config, "--out", out), *parts)
    assert not out.exists()

"""The commands of each page run one after the other, in a reader's folder, with small budgets."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pretty_midi
import pytest
from doc_blocks import PAGES, ROOT, Block, blocks_of, commands_of
from reinvent_files import written_as_reinvent

from sequence_tutor.policies.prior import load_prior

# Commands that aren't run, by words in them or a whole page, and why.
NOT_RUN = {
    "s3://": "there is no bucket; tests/unit and tests/integration run the same on a mock of S3",
    "watch": "serves until it is ended; tests/integration/test_page.py looks at it",
    "--install-completion": "changes the shell of the user",
    "examples/docking.toml": "docks for minutes; tests/integration/test_docking.py docks",
    "charged.toml": "needs a package; tests/integration/test_peptides.py runs these",
    "peptides.txt": "likewise",
    "next.toml": "needs marks of a person; tests/unit/commands/test_rate.py makes them and runs it",
    "runs/next": "likewise",
    "--read": "likewise",
    "gpus=": "there is no GPU; tests/unit/policies/test_gpu.py uses one",
}
# Pages whose commands take a minute, with a real prior or many steps.
LONG = ("docs/tutorials/assay.md", "docs/melodies.md", "docs/results/melodies.md")
# Words that stand for a sequence of a run.
MEANT = ("KEY", "SMILES", "CC(=O)Nc1ccc(O)cc1")
GOAL = """
[reward]
[[reward.component]]
name = "logp"
[diversity]
type = "murcko_scaffold"
"""
SMALL = ("stop.scores=40", "stop.sequences=400", "actors.batch=16", "replay.min_rows=16")
SMALL = (*SMALL, "learner.batch=8", "replay.ratio=1", "replay.shards=1")
REINVENT = """
run_type = "staged_learning"
[parameters]
prior_file = "priors/reinvent.prior"
agent_file = "priors/reinvent.prior"
[learning_strategy]
type = "dap"
sigma = 128
[[stage]]
max_steps = 2
[stage.scoring]
type = "geometric_mean"
[[stage.scoring.component]]
[stage.scoring.component.QED]
[[stage.scoring.component.QED.endpoint]]
name = "QED"
"""
# without synopses, which test_docs_names.py checks
SHELL = [b for page in PAGES for b in blocks_of(page) if b.is_shell and " [--" not in b.text]
Run = Callable[..., Any]


def is_ours(words: list[str]) -> bool:
    return words[0] == "sequence-tutor" or words[:1] == ["python"] and "examples/" in words[1]


def is_run(words: list[str]) -> bool:
    return is_ours(words) and not any(part in word for part in NOT_RUN for word in words)


def is_notebook(block: Block) -> bool:
    """Whether a block reads a run, with pandas."""
    return block.language in ("", "python") and "pd.read_parquet" in block.text


WITH_COMMANDS = {b.page for b in SHELL if any(is_run(w) for w in commands_of(b))}
NOTEBOOKS = {b.page for page in PAGES for b in blocks_of(page) if is_notebook(b)}
RUNNING = sorted(WITH_COMMANDS | NOTEBOOKS)


def small(words: list[str], prior: Path) -> list[str]:
    """The same command with a small budget, in one process."""
    words = ["20" if word in ("200", "100") else word for word in words]  # samples
    name, *rest = [a_key(words[1]) if word in MEANT else word for word in words]
    if name == "optimize" and "--dry-run" not in rest:
        settings = list(SMALL)
        molecules = not any("melodies" in word for word in rest)
        if molecules and not any("assay" in word for word in rest):
            settings.append(f"prior={prior}")
        if "--resume" in rest:
            settings[0] = "stop.scores=60"
        if any("docking_budget" in word or "assay" in word for word in rest):
            settings += ["screen.batch=16", "proposers.genetic.batch=32", "screen.generations=0"]
        rest += ["--local", *(word for each in settings for word in ("--set", each))]
    elif name == "init" and "--component" not in rest:
        rest += ["--component", "qed"]  # which it asks for on a terminal
    elif name == "score" and "--local" not in rest:
        rest.append("--local")
    elif name == "sample":
        rest += ["-n", "20"]
    elif name == "evaluate":
        rest += ["-n", "60"]
    elif name == "pretrain":
        size = () if "--from" in rest else ("--layers", "1", "--hidden", "16", "--embedding", "8")
        rest += ["--epochs", "1", *size]
    return [name, *rest]


def a_key(run: str) -> str:
    """The key of the best row of a run, or of the first row of a scored file."""
    table = Path(run) / "top.csv" if Path(run).is_dir() else Path(run)
    with table.open(newline="") as file:
        return next(csv.DictReader(file))["key"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_prior: Path) -> Path:
    """A folder with the files that pages speak of as the reader's."""
    at = tmp_path_factory.mktemp("reader")
    (at / "examples").symlink_to(ROOT / "examples")
    for name in ("my.toml", "CONFIG.toml", "NEW.toml", "new-weights.toml"):
        (at / name).write_text(GOAL)
    molecules = ["CCO", "CCN", "CCC", "CC(=O)O", "CCCO", "CC(C)N", "CCOCC", "NCCO"]
    table = [f"{smiles},{n / 10}" for n, smiles in enumerate(molecules)]
    (at / "measured.csv").write_text("\n".join(["smiles,reward", *table]))
    (at / "docked.tsv").write_text("\n".join(["ligand,kcal/mol", *table]).replace(",", "\t"))
    for name in ("library.smi", "series.smi", "some-zinc.smi"):
        (at / name).write_text("\n".join(molecules * 4))
    (at / "staged_learning.toml").write_text(REINVENT)
    (at / "priors").mkdir()
    written_as_reinvent(load_prior(tiny_prior), at / "priors" / "reinvent.prior")
    (at / "my-songs").mkdir()
    for n in range(6):
        write_song(at / "my-songs" / f"{n}.mid", n)
    return at


def write_song(path: Path, seed: int) -> None:
    """Eight bars of crotchets in C major."""
    midi, random = pretty_midi.PrettyMIDI(initial_tempo=120), np.random.default_rng(seed)
    melody = pretty_midi.Instrument(0, name="melody")
    for beat, pitch in enumerate(random.choice([60, 62, 64, 65, 67, 69, 71, 72], size=32)):
        melody.notes.append(pretty_midi.Note(80, int(pitch), beat / 2, beat / 2 + 0.5))
    midi.instruments.append(melody)
    midi.write(str(path))


@pytest.fixture
def at_work(
    folder: Path, tmp_path: Path, tiny_prior: Path, command: Run, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A copy of the reader's folder, with runs in it that earlier pages have made."""
    monkeypatch.chdir(folder)
    if not (folder / "finished").exists():
        optimize = ["optimize", "my.toml", "--out", "finished"]
        score = ["score", "my.toml", "library.smi", "--out", "FILE.scored.csv"]
        for words in (optimize, score):
            done = command(*small(words, tiny_prior))
            assert done.code == 0, done.err
    at = tmp_path / "work"
    shutil.copytree(folder, at, symlinks=True)
    monkeypatch.chdir(at)
    monkeypatch.setattr(sys, "stdin", io.StringIO())  # nothing is typed
    return at


def earlier(words: list[str], folder: Path) -> None:
    """Lay the runs that a command reads, and take away those in the way of a new one. On a page of
    reference commands don't follow from each other."""
    for place, word in enumerate(words):
        read = "--resume" in words or place == 0 or words[place - 1] != "--out"
        target = Path(word)
        if not read:
            shutil.rmtree(target, ignore_errors=True)
        elif re.fullmatch(r"runs/[\w-]+", word) and not target.exists():
            shutil.copytree(folder / "finished", target)


def write_file(block: Block) -> None:
    """A block that begins with `# name` is a file that the reader saves."""
    if name := re.fullmatch(r"# ([\w-]+\.\w+)", block.text.partition("\n")[0]):
        comment = not name[1].endswith((".smi", ".csv"))
        text = block.text if comment else block.text.partition("\n")[2]
        Path(name[1]).write_text(text + "\n")


def page_id(page: str) -> str:
    return page.removesuffix(".md")


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=pytest.mark.nightly if page in LONG else ()) for page in RUNNING],
    ids=page_id,
)
def test_the_commands_of_a_page_run(
    page: str, at_work: Path, folder: Path, tiny_prior: Path, command: Run
):
    for block in blocks_of(ROOT / page):
        if block.language and not block.is_shell:
            write_file(block)
        if is_notebook(block):
            earlier(re.findall(r"runs/\w+", block.text), folder)
            exec(compile(block.text, str(block), "exec"), {"pd": pd, "Path": Path})
        for words in commands_of(block) if block in SHELL else []:
            if not is_run(words):
                continue
            if "tutorials" not in page:  # whose commands do follow from each other
                earlier(words[1:], folder)
            if words[0] == "python":
                run_python(words[1:], block)
                continue
            asked = small(words[1:], tiny_prior)
            done = command(*asked)
            assert done.code == 0, (str(block), asked, done.out[-800:], done.err[-800:])


def run_python(words: list[str], block: Block) -> None:
    """A program of the examples; the block after it on the page has what it prints."""
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    assert done.returncode == 0, (str(block), done.stderr[-800:])
    if words == ["examples/assay/predict.py"]:
        shown = [b.text for b in blocks_of(ROOT / block.page) if b.text.startswith("200 comp")]
        assert shown == [done.stdout.strip()]


def test_the_assay_of_the_tutorial_is_what_its_program_writes(tmp_path: Path):
    shutil.copytree(ROOT / "examples" / "assay", tmp_path / "assay")
    (tmp_path / "assay" / "assay.csv").unlink()
    subprocess.run([sys.executable, tmp_path / "assay" / "laboratory.py"], check=True)
    written = (tmp_path / "assay" / "assay.csv").read_text()
    assert written == (ROOT / "examples" / "assay" / "assay.csv").read_text()
    (page,) = (p for p in PAGES if p.name == "assay.md")
    (shown,) = (b.text for b in blocks_of(page) if b.text.startswith("compound,"))
    assert written.startswith(f"{shown}\n")


def test_every_reason_not_to_run_a_command_is_needed():
    words = {w for b in SHELL for each in commands_of(b) if is_ours(each) for w in each}
    assert [part for part in NOT_RUN if not any(part in word for word in words)] == []


def test_control_a_command_that_fails_is_found(at_work: Path, command: Run, tiny_prior: Path):
    assert command(*small(["optimize", "none.toml"], tiny_prior)).code == 2
    assert not is_run(["sequence-tutor", "watch", "runs/x"])
    assert os.path.exists("examples/assay/assay.csv")

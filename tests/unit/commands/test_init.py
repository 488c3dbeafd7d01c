"""`sequence-tutor init`: a config from three answers."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sequence_tutor.distributed.commands.init import config_text
from sequence_tutor.distributed.config_file import load_config, parse_config, read_toml
from sequence_tutor.rewards.compile import call_order
from sequence_tutor.rewards.registry import components


class Terminal(io.StringIO):
    """Standard input with typed answers."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("encoding, domain", [("smiles", "molecules"), ("melody", "melodies")])
def test_a_config_of_any_component_is_one(encoding: str, domain: str):
    for name in components(domain):
        text = config_text(Path("run.toml"), encoding, [name], 50)
        run = parse_config(read_toml(text.encode(), name), name)
        assert [one.name for one in run.reward.component] == [name]
        call_order(run.reward, domain)
        for line in text.splitlines():
            assert not line.strip() or "#" in line or line.startswith("["), line


def test_the_written_config_runs(
    command: Callable[..., Any], tmp_path: Path, tiny_prior: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    flags = ("--component", "qed", "--component", "similarity", "--scores", 40)
    done = command("init", "mine.toml", *flags, "--prior", tiny_prior)
    assert done.code == 0 and done.out.startswith("mine.toml is written"), done
    assert "before it runs" not in done.out
    small = [f"--set={one}" for one in ("actors.batch=16", "learner.threads=1", "scorers.count=1")]
    done = command("optimize", "mine.toml", "--out", "out", "--local", *small)
    assert done.code == 0 and "budget used: 40 scores" in done.out, done
    run = load_config(tmp_path / "mine.toml")
    assert run.learner.temperature == "auto" and run.reward.aggregate == "geometric_mean"
    assert run.reward.component[1].options["smiles"]


def test_a_terminal_is_asked(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    typed = "songs\nmelodies\n?\ntonik\ntonic, leaps\nmany\n1,234\n"
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    done = command("init", tmp_path / "a.toml")
    assert done.code == 0, done
    for part in ("unknown encoding 'songs'", "components of melodies", "unknown component 'tonik'"):
        assert part in done.out, part
    run = load_config(tmp_path / "a.toml")
    assert (run.encoding, run.prior, run.stop.scores) == ("melody", "lieder", 1234)
    assert [one.name for one in run.reward.component] == ["tonic", "leaps"]


def test_what_is_given_is_not_asked(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        sys, "stdin", Terminal("\n")
    )  # the default of the one question that is left
    flags = ("--encoding", "molecules", "--scores", 7)
    assert command("init", tmp_path / "a.toml", *flags).code == 0
    run = load_config(tmp_path / "a.toml")
    assert [one.name for one in run.reward.component] == ["qed"] and run.stop.scores == 7


def test_mistakes_write_nothing(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "a.toml"
    monkeypatch.setattr(sys, "stdin", io.StringIO("qed\n"))  # no terminal
    command("init", file).refused("--component qed", "sequence-tutor components")
    command("init", file, "--component", "qde").refused("did you mean 'qed'?")
    command("init", file, "--encoding", "smile", "--component", "qed").refused("encoding 'smile'")
    command("init", file, "--encoding", "selfies", "--component", "qed").refused("--prior")
    wrong = ("--component", "qed", "--prior")
    command("init", file, *wrong, "lieder").refused("prior lieder encodes melody")
    command("init", file, *wrong, tmp_path).refused("no prior at")
    command("init", tmp_path / "no" / "a.toml", "--component", "qed").refused("no directory")
    assert not list(tmp_path.iterdir())
    file.write_text("mine")
    command("init", file, "--component", "qed").refused("exists already")
    assert file.read_text() == "mine"


def test_what_an_example_lacks_here_is_said(command: Callable[..., Any], tmp_path: Path):
    done = command("init", tmp_path / "a.toml", "--component", "python")
    assert done.code == 0 and "before it runs, change this in it: " in done.out
    assert "my_rewards.py" in done.out

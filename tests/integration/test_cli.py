"""A user's mistake gives one sentence on standard error and exit code 2."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CONFIG = """
prior = "{prior}"
[[reward.component]]
name = "logp"
"""


Command = Callable[..., Any]


@pytest.fixture
def config(tiny_prior: Path, tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(CONFIG.format(prior=tiny_prior))
    return path


def refused(done: Any, *parts: str) -> None:
    done.refused(*parts)


def test_a_missing_config_is_one_sentence(command: Command, tmp_path: Path):
    out = tmp_path / "out"
    refused(command("optimize", tmp_path / "no.toml", "--out", out), "no config file", "no.toml")
    assert not out.exists()


def test_a_broken_config_is_one_sentence(command: Command, tmp_path: Path):
    path = tmp_path / "bad.toml"
    path.write_text('encoding = "smiles\n')
    refused(command("optimize", path), "bad.toml is not valid TOML", "line 1")


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("learner.temprature=1", ["unknown key learner.temprature", "did you mean temperature?"]),
        ("learner.temperature=-1", ["learner.temperature", "greater than 0", "-1"]),
        ("learner.temperature=warm", ["learner.temperature", "'warm'"]),
        ("learner.temperature=true", ["learner.temperature", "True"]),
        ("learner.kl=0", ["learner.kl", "greater than 0"]),
        ("learner.algorithm=sarsa", ["learner.algorithm", "'path'", "'sarsa'"]),
        ("actors.count=0", ["actors.count", "0"]),
        ("speed=1", ["unknown key speed", "allowed:", "stop"]),
        ("reward.aggregate=median", ["unknown aggregate 'median'", "geometric_mean"]),
        ("learner", ["table.key=value"]),
        ("stop.scores=0", ["stop.scores", "0"]),
        ("screen.bath=3", ["unknown key screen.bath", "did you mean batch?", "allowed: batch, "]),
        ("screen=true", ["screen is a table: write [screen]", "True"]),
        ("screen.start=2000", ["screen: start can't be more than best"]),
        ("screen.explore=[2,1]", ["screen: explore", "can't be more than the second"]),
        (
            "proposers.genetic.parent=3",
            ["unknown key proposers.genetic.parent", "did you mean parents?", "rank_k"],
        ),
        ("proposers.genetic=true", ["proposers.genetic is a table: write [proposers.genetic]"]),
        (
            "proposers.adaptiv=true",
            ["unknown key proposers.adaptiv", "did you mean adaptive?", "allowed: adaptive, gen"],
        ),
        (
            "proposers.genetik.parents=3",
            ["unknown key proposers.genetik.parents", "did you mean [proposers.genetic]?"],
        ),
        ("proposers.genetik.batch=3", ["unknown proposer 'genetik'", "did you mean 'genetic'?"]),
        ("proposers.data.batch=3", ["proposers.data.file is missing"]),
        ("proposers.data.file=none.smi", ["proposers.data: ", "none.smi"]),
    ],
)
def test_a_wrong_key_or_value_is_one_sentence(
    command: Command, config: Path, tmp_path: Path, override: str, parts: list[str]
):
    out = tmp_path / "out"
    for engine in ([], ["--local"]):
        refused(command("optimize", config, "--out", out, "--set", override, *engine), *parts)
    assert not out.exists()


@pytest.mark.parametrize(
    ("component", "parts"),
    [
        ('name = "qedd"', ["unknown reward.component 'qedd'", "did you mean 'qed'?"]),
        ('name = "python"', ["needs the option 'function'"]),
        ('name = "python"\nfunction = "nowhere:f"', ["can't import module 'nowhere'"]),
        ('name = "qed"\npower = 2', ["unknown option of component 'qed': 'power'"]),
    ],
)
def test_a_wrong_reward_is_one_sentence(
    command: Command, tiny_prior: Path, tmp_path: Path, component: str, parts: list[str]
):
    path, out = tmp_path / "run.toml", tmp_path / "out"
    path.write_text(f'prior = "{tiny_prior}"\n[[reward.component]]\n{component}\n')
    refused(command("optimize", path, "--out", out), *parts)
    assert not out.exists()


def test_an_unknown_prior_is_one_sentence(command: Command, config: Path, tmp_path: Path):
    out = tmp_path / "out"
    refused(command("optimize", config, "--out", out, "--set", "prior=nosuch"), "no prior at")
    refused(command("sample", "nosuch"), "no prior at 'nosuch'", "or one of:")
    assert not out.exists()


def test_a_damaged_prior_is_one_sentence(command: Command, tiny_prior: Path, tmp_path: Path):
    broken = tmp_path / "broken"
    shutil.copytree(tiny_prior, broken)
    metadata = json.loads((broken / "prior.json").read_text())
    metadata["vocabulary"] = metadata["vocabulary"][:-1]
    (broken / "prior.json").write_text(json.dumps(metadata))
    refused(command("sample", broken), "is not a whole prior", "tokens, but a network for")
    metadata["encoding"] = "runes"
    (broken / "prior.json").write_text(json.dumps(metadata))
    refused(command("sample", broken), "unknown encoding 'runes'", "smiles")
    (broken / "weights.safetensors").unlink()
    refused(command("sample", broken), "is not a whole prior")


def test_an_output_directory_in_use_stays_as_it_is(command: Command, config: Path, tmp_path: Path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("precious")
    refused(command("optimize", config, "--out", out), "exists already", "--resume")
    assert [p.name for p in out.iterdir()] == ["mine.txt"]
    assert (out / "mine.txt").read_text() == "precious"
    refused(command("optimize", config, "--out", out / "mine.txt"), "exists already")


def test_resuming_without_a_run_is_one_sentence(command: Command, config: Path, tmp_path: Path):
    out = tmp_path / "out"
    refused(command("optimize", config, "--out", out, "--resume"), "holds no run to resume")
    refused(command("optimize", config, "--resume"), "--resume needs --out")
    assert not out.exists()


def test_sample_does_not_overwrite_a_file(command: Command, tiny_prior: Path, tmp_path: Path):
    out = tmp_path / "sample.txt"
    arguments = ("sample", tiny_prior, "-n", 20, "--seed", 1)
    done = command(*arguments, "--out", out)
    assert done.code == 0 and done.out == ""
    assert command(*arguments).out == out.read_text()
    assert len(out.read_text().splitlines()) == 20
    refused(command(*arguments, "--out", out), "exists already")


def test_evaluate_describes_a_prior_and_a_file(command: Command, tiny_prior: Path, tmp_path: Path):
    data = tmp_path / "data.smi"
    data.write_text("CCO\nCCN first\nnot smiles\nC(C)C\n")
    done = command("evaluate", tiny_prior, "--against", data, "-n", 50)
    assert done.code == 0
    assert "1 unusable lines left out" in " ".join(done.err.split())
    assert "line 3: 'not'" in done.err
    for word in ("valid", "novel", "nll", "data", "uniform random", "prior"):
        assert word in done.out
    assert command("evaluate", data, "-n", 5).code == 0


def test_invalid_lines_count_in_the_valid_share(command: Command, tmp_path: Path):
    data = tmp_path / "data.smi"
    data.write_text("CCO\nC1\nCCN\nC(C\n")
    rows = [line.split() for line in command("evaluate", data).out.splitlines()]
    assert [row[3] for row in rows if row[1:2] == ["valid"]] == ["0.5"]


def test_a_token_the_vocabulary_lacks_is_one_sentence(
    command: Command, tiny_prior: Path, tmp_path: Path
):
    data = tmp_path / "data.smi"
    data.write_text("CCO\nCCBr\n")
    done = command("evaluate", tiny_prior, "--against", data, "-n", 20)
    refused(done, "data.smi", "1 of 2", "token 'Br' of 'CCBr' is not in the vocabulary")


SMALL = ("--hidden", 8, "--layers", 1, "--embedding", 4, "--epochs", 1, "--report-samples", 0)


def test_pretrain_counts_broken_lines(command: Command, tmp_path: Path):
    data, out = tmp_path / "data.smi", tmp_path / "prior"
    lines = ["CCO", "C(C", "CCN", "C!C", "", "CCC", "C1CC"] * 3
    data.write_text("\n".join(lines))
    done = command("pretrain", data, "--out", out, *SMALL)
    assert done.code == 0, done
    said = " ".join((done.out + done.err).split())
    assert "9 unusable lines left out" in said
    assert "line 2: 'C(C': not a valid sequence" in said
    assert "line 4: 'C!C'" in said and "character 2" in said
    assert said.count("line ") == 5  # only the first five
    assert command("sample", out, "-n", 3).code == 0
    refused(command("pretrain", data, "--out", out, *SMALL), "exists already")


@pytest.mark.parametrize("content", ["", "\n\n", "C(C\n"])
def test_pretrain_without_data_exits_with_2(command: Command, tmp_path: Path, content: str):
    data, out = tmp_path / "data.smi", tmp_path / "prior"
    data.write_text(content)
    done = command("pretrain", data, "--out", out, *SMALL)
    assert done.code == 2 and "has no usable sequence" in done.err
    assert "Traceback" not in done.err and not out.exists()


def test_wrong_arguments_of_pretrain_are_one_sentence(command: Command, tmp_path: Path):
    data, out = tmp_path / "data.smi", tmp_path / "prior"
    refused(command("pretrain", data, "--out", out, *SMALL), "there is no file")
    data.write_text("CCO\nCCN\n")
    refused(
        command("pretrain", data, "--out", out, *SMALL, "--encoding", "runes"),
        "unknown encoding 'runes'",
    )
    refused(command("pretrain", data, "--out", out, *SMALL, "--cell", "rnn"), "cell")
    refused(command("pretrain", data, "--out", out, *SMALL, "--resume"), "no training to resume")

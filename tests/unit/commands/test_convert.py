"""`sequence-tutor convert`: REINVENT4's configs and models become ours."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reinvent_files import reinvent_file, written_as_reinvent

from sequence_tutor.distributed.config_file import load_config, parse_config
from sequence_tutor.distributed.reinvent.run import converted
from sequence_tutor.distributed.stages import stage_runs
from sequence_tutor.policies.prior import load_prior
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.reinvent.notes import ConversionError, Notes

Command = Callable[..., Any]
CONFIGS = Path(__file__).with_name("reinvent_configs")
MOLECULES = ["CC(C)Cc1ccc(C(C)C(=O)O)cc1", "Cc1ccccc1F", "COC"]
# What is left out of each file: the first words of each sentence.
LEFT_OUT = {
    "enumeration": ["run_type = 'enumeration'"],
    "scoring": [],
    "scoring_components_example": [
        "rocssimilarity (rocssimilarity 1)",
        "DockStream (DockStream 1)",
        "Maize (Maize 1)",
        "Maize (Maize 2)",
        "SAScore 1, which is `sa`: its values",
    ],
    "stage1_scoring": [],
    "stage2_scoring": [],
    "staged_learning": ["stage.max_score and min_steps"],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the configs and the files that they name."""
    shutil.copytree(CONFIGS, tmp_path, dirs_exist_ok=True)
    (tmp_path / "rings.json").write_text('{"rings": {}, "generic_rings": {}}')
    reinvent_file(tmp_path / "priors" / "reinvent.prior")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", LEFT_OUT)
def test_a_config_becomes_one_that_scores(name: str, folder: Path, command: Command):
    done = command("convert", f"{name}.toml", "--out", "ours.toml")
    assert done.code == 0 and done.out == "", done
    lines = done.err.splitlines()
    left = [s.removeprefix("left out: ") for s in lines if s.startswith("left out: ")]
    assert [s.startswith(w) for s, w in zip(left, LEFT_OUT[name], strict=True)].count(False) == 0
    assert not any(s.startswith("before it runs") for s in lines), lines
    run = load_config("ours.toml")
    scores = build_reward(run.reward).score(MOLECULES)
    rewards = np.asarray(scores.rewards)
    assert ((rewards >= 0) & (rewards <= 1)).all(), scores.errors
    head = Path("ours.toml").read_text()
    assert head.startswith(f"# Converted from {name}.toml") and head.count("# Left out") == len(
        left
    )


def test_the_number_of_components_is_that_of_the_file(folder: Path, command: Command):
    command("convert", "scoring_components_example.toml", "--out", "ours.toml")
    rows = tomllib.loads(Path("ours.toml").read_text())["reward"]["component"]
    assert len(rows) == 28  # 33 endpoints without ROCS, DockStream, twice Maize, and SAScore
    assert {row["name"] for row in rows if row.get("role")} == {"alerts", "substructure"}
    assert "sa" not in {row["name"] for row in rows}


def test_a_staged_run(folder: Path, command: Command):
    done = command("convert", "staged_learning.toml")
    tables = tomllib.loads(done.out)
    assert tables["learner"] == {"algorithm": "path", "temperature": 0.01, "learning_rate": 2e-4}
    assert tables["actors"] == {"batch": 32} and "stop" not in tables
    assert tables["prior"] == "priors/reinvent.prior"
    assert tables["diversity"] == {
        "type": "murcko_scaffold", "bucket_size": 10, "min_score": 0.3,
    }  # fmt: skip
    names = [row["name"] for row in tables["reward"]["component"]]
    assert names == ["alerts", "molecular_weight"]
    one, two = tables["stage"]
    assert one == {"stop": {"scores": 1600}} and two["stop"] == {"scores": 1920}
    assert [row["name"] for row in two["reward"]["component"]] == ["qed"]
    runs = stage_runs(parse_config(tables))
    assert [run.stop.scores for run in runs] == [1600, 1920]
    assert [one.name for one in runs[1].reward.component] == ["qed"]
    assert "sigma = 100 is temperature = 1 / 100, exactly" in done.err
    assert "agent_file" not in done.err


def test_it_runs_from_a_file_of_reinvents(
    folder: Path, tiny_prior: Path, command: Command, molecules: list[str]
):
    ours = load_prior(tiny_prior)
    written_as_reinvent(ours, folder / "priors" / "reinvent.prior")
    theirs = load_prior("priors/reinvent.prior")
    np.testing.assert_allclose(
        theirs.log_prob(molecules[:20]), ours.log_prob(molecules[:20]), atol=1e-4
    )
    assert command("convert", "staged_learning.toml", "--out", "ours.toml").code == 0
    text = Path("ours.toml").read_text()
    short = text.replace("scores = 1600", "scores = 40").replace("scores = 1920", "scores = 30")
    Path("ours.toml").write_text(short)
    small = "replay.min_rows=16", "mode=synchronous"
    sets = [word for one in small for word in ("--set", one)]
    done = command("optimize", "ours.toml", "--out", "run", "--local", *sets)
    assert done.code == 0 and "budget used: 30 scores" in done.out, done
    assert "stage 1: budget used" in done.out
    assert load_prior("run").encoding.vocabulary.tokens[-1] == "^"


def test_what_is_missing_here_is_said(folder: Path, command: Command):
    (folder / "rings.json").unlink()
    shutil.rmtree(folder / "priors")
    done = command("convert", "scoring_components_example.toml")
    assert done.code == 0 and "before it runs: component 'ring_precedence'" in done.err
    done = command("convert", "staged_learning.toml")
    assert "before it runs: no prior at 'priors/reinvent.prior'" in done.err


def test_a_run_of_another_generator(folder: Path, command: Command):
    text = Path("staged_learning.toml").read_text()
    with_file = text.replace("batch_size = 32", 'batch_size = 32\nsmiles_file = "scaffold.smi"')
    Path("libinvent.toml").write_text(with_file)
    done = command("convert", "libinvent.toml")
    assert done.code == 0
    assert "parameters.smiles_file = 'scaffold.smi': a run has one scaffold" in done.err


def test_json_and_components_of_another_file(folder: Path, command: Command):
    staged = tomllib.loads(Path("staged_learning.toml").read_text())
    staged["stage"] = staged["stage"][1:]  # its components are in stage2_scoring.toml
    staged |= {"diversity_filter": None, "inception": {"smiles_file": None}}
    (folder / "staged.json").write_text(json.dumps(staged))
    tables = tomllib.loads(command("convert", "staged.json").out)
    (row,) = tables["reward"]["component"]
    assert (row["name"], row["weight"]) == ("qed", 0.5)
    assert not tables.keys() & {"diversity", "proposers"}


def _staged(**changes: Any) -> dict[str, Any]:
    component = {"component": [{"QED": {"endpoint": [{}]}}]}
    staged: dict[str, Any] = {
        "run_type": "staged_learning",
        "parameters": {"prior_file": "a.prior", "agent_file": "a.prior"},
        "stage": [{"max_steps": 10, "scoring": component}],
    }
    for table, values in changes.items():
        staged[table] = staged.get(table, {}) | values if isinstance(values, dict) else values
    return staged


def _tables(**changes: Any) -> tuple[dict[str, Any], Notes]:
    notes = Notes()
    tables = converted(_staged(**changes), Path(), notes)
    parse_config(tables)
    return tables, notes


def test_defaults_are_those_of_reinvent():
    tables, _ = _tables()
    assert (
        tables["learner"]["temperature"] == 1 / 128 and tables["learner"]["learning_rate"] == 1e-4
    )
    assert tables["stop"]["scores"] == 1000 and "diversity" not in tables


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "PenalizeSameSmiles"}, {"type": "same_molecule", "penalty_multiplier": 0.5}),
        (
            {"type": "scaffold_similarity", "minsimilarity": 0.6},
            {
                "type": "similar_scaffold",
                "bucket_size": 25,
                "min_score": 0.4,
                "min_similarity": 0.6,
            },
        ),
        ({"type": "IdenticalMurckoScaffoldRND"}, None),
    ],
)
def test_diversity_filters(given: dict[str, Any], expected: dict[str, Any] | None):
    tables, notes = _tables(diversity_filter=given)
    assert tables.get("diversity") == expected
    assert any("RND" in text for text in notes.left_out) == (expected is None)


def test_what_a_run_does_otherwise_is_said():
    tables, notes = _tables(
        parameters={"agent_file": "b.chkpt", "randomize_smiles": False, "distance_threshold": 9},
        inception={"smiles_file": "seeds.smi", "memory_size": 50},
        learning_strategy={"type": "sdap", "sigma": 50},
        seed=7,
        responder={"endpoint": "http://x"},
    )
    assert tables["proposers"] == {"data": {"file": "seeds.smi"}} and tables["seed"] == 7
    assert tables["replay"] == {"rewrite": 0.0} and tables["learner"]["temperature"] == 0.02
    for words in ("agent_file = 'b.chkpt'", "distance_threshold", "'sdap'", "responder"):
        assert any(words in text for text in notes.left_out), words
    assert any("replay is always there" in text for text in notes.changed)
    assert not any("responder" in text for text in _tables()[1].left_out)  # control


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"run_type": "sampling"}, "sequence-tutor sample"),
        ({"run_type": "transfer_learning"}, "pretrain --from"),
        ({"run_type": "dance"}, "run_type must be"),
        ({"stage": []}, r"no \[\[stage\]\]"),
        ({"stage": [{"max_steps": 3}]}, "no scoring section"),
        ({"learning_strategy": {"sigma": 0}}, "sigma must be above 0"),
        ({"parameters": {"batch_size": "many"}}, "batch_size must be a whole number"),
        ({"parameters": 3}, "must be a table"),
    ],
)
def test_what_is_not_whole_is_one_sentence(changes: dict[str, Any], words: str):
    with pytest.raises(ConversionError, match=words):
        _tables(**changes)


def test_a_wrong_file_is_one_sentence_with_its_name(folder: Path, command: Command):
    command("convert", "none.toml").refused("none.toml")
    for name, text, words in (
        ("a.toml", "x = [", "not valid TOML"),
        ("b.toml", "x = 1", "run_type must be"),
        ("c.json", "{", "not valid JSON"),
        ("d.json", "[]", "no table"),
        ("e.yml", "x: 1", "e.yml"),
        ("f.toml", "component = [{ QED = { endpoint = [{ weight = -1 }] } }]", "0 or more"),
    ):
        Path(name).write_text(text)
        command("convert", name).refused(name, words)
    command("convert", "scoring.toml", "--out", "rings.json").refused("rings.json", "exists")


def test_a_model_becomes_a_directory(folder: Path, command: Command):
    done = command("convert", "priors/reinvent.prior", "--out", "prior")
    assert done.code == 0 and "rounded to bfloat16" in done.err
    assert len(command("sample", "prior", "-n", 3).out.splitlines()) == 3
    command("convert", "priors/reinvent.prior").refused("give --out")
    done = command("evaluate", "priors/reinvent.prior", "-n", 20)
    assert done.code == 0 and "prior" in done.out, done

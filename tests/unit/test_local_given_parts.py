"""Whole runs with given parts: what every row keeps, whatever proposed it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pretty_midi
import pytest
from local_runs import rows
from rdkit import Chem
from rich.console import Console

from sequence_tutor.distributed.commands.optimize import Options, optimize
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError, parse_config
from sequence_tutor.distributed.generating.generator import Generator
from sequence_tutor.distributed.given_parts import lead_starts, sampling_encoding
from sequence_tutor.distributed.run_directory.starting_prior import starting_prior
from sequence_tutor.policies.prior import load_prior
from sequence_tutor.rewards.base import Status

LOCAL = Options(local=True)
AMIDE = "[*:1]c1ccc(cc1)C(=O)N[*:2]"
CORE = Chem.MolFromSmarts("c1ccc(cc1)C(=O)N")
LEAD = "CC(C)Oc1ccc(cc1)C(=O)NCc1ccccc1"


def run_with(generate: dict[str, Any], **tables: Any) -> RunConfig:
    config = {
        "mode": "synchronous",
        "generate": generate,
        "reward": {"component": [{"name": "qed"}]},
        "actors": {"batch": 24},
        "learner": {"batch": 16},
        "replay": {"min_rows": 16, "ratio": 1.0, "shards": 1},
        "stop": {"scores": 40},
    }
    return parse_config(config | tables)


def test_every_row_keeps_the_scaffold(tmp_path: Path, quiet: Console):
    search = {"proposers": {"genetic": {"batch": 24}}, "screen": {"batch": 16, "start": 24}}
    run = run_with({"scaffold": AMIDE}, **search)
    optimize(run, tmp_path / "run", quiet, LOCAL)
    record = rows(tmp_path / "run")
    valid = record.select(np.flatnonzero(record.status == Status.OK))
    assert len(valid) == 40 and len(valid) > 0.9 * len(record)
    assert {"policy", "genetic"} <= set(valid.sources)
    assert all(Chem.MolFromSmiles(s).HasSubstructMatch(CORE) for s in valid.sequences)
    assert (valid.lengths > 0).all()  # all can be learned from
    encoding = starting_prior(run).encoding
    masks = encoding.constraint.masks(record.tokens, record.lengths)  # raises for other episodes
    assert masks.shape[:2] == record.tokens.shape
    # the tuned policy has the scaffold too, wherever it is loaded
    policy = load_prior(tmp_path / "run")
    samples = policy.sample(20, seed=0)
    assert all(s.startswith(encoding.template.texts[0]) for s in samples)
    assert np.isfinite(policy.log_prob(samples)).all()


def test_a_run_near_a_lead(tmp_path: Path, quiet: Console):
    run = run_with({"near": {"smiles": LEAD, "from": 0.4, "to": 0.8}})
    optimize(run, tmp_path / "run", quiet, LOCAL)
    record = rows(tmp_path / "run")
    near = record.status == Status.OK
    assert near.sum() == 40 and near.mean() > 0.6
    plain = RunConfig.model_validate(run.model_dump(by_alias=True, exclude={"generate"})).domain
    with open(tmp_path / "run" / "changes.csv", newline="") as file:
        changes = list(csv.DictReader(file))
    assert len(changes) == 40 and all(0.4 <= float(row["similarity"]) <= 0.8 for row in changes)
    assert any(">>" in row["change"] for row in changes)
    far = [s for s, ok in zip(record.sequences, near, strict=True) if not ok and plain.key(s)]
    assert all("isn't in 0.4 to 0.8" in run.domain.identify(s).reason for s in far)


def test_the_first_proposals_are_near_the_lead():
    run = run_with({"near": {"smiles": [LEAD], "from": 0.4, "to": 0.8}})
    prior = starting_prior(run)
    starts = lead_starts(run, prior.encoding)
    generator = Generator(prior, run.actors, 0, 1, False, starts=starts)
    report, batch = generator.sample([0], "", 100)
    texts = [prior.encoding.decode(row) for row in batch.episodes.tokens]
    keys = {key for text in texts if (key := run.domain.key(text)) is not None}
    assert len(keys) > 80
    assert report.rows == 100 and abs(report.kl_to_prior) < 1  # of those that began freely
    same = Generator(prior, run.actors, 0, 1, False, starts=starts).sample([0], "", 100)[1]
    assert np.array_equal(same.episodes.tokens, batch.episodes.tokens)


@pytest.mark.parametrize(
    ("generate", "tables", "message"),
    [
        ({"scaffold": "c1ccccc1"}, {}, "no attachment point"),
        ({"scaffold": "[*:1]C", "start": "C"}, {}, "give one of scaffold and start"),
        ({}, {}, r"\[generate\] is empty"),
        ({"scaffold": "[*:1][Si](C)C"}, {}, r"lacks the token '\[Si\]'"),
        ({"scaffold": AMIDE}, {"max_length": 12}, "raise max_length"),
        ({"scaffold": AMIDE}, {"actors": {"gpus": 1}}, "needs actors.gpus = 0"),
        ({"start": "CC"}, {"proposers": {"genetic": {}}}, "for the policy alone"),
        ({"near": {"smiles": "xx"}}, {}, "lead 'xx' is not a SMILES"),
        ({"near": {"smiles": "CC", "from": 0.9, "to": 0.1}}, {}, "from can't be more than to"),
    ],
)
def test_mistakes(
    generate: dict[str, Any], tables: dict[str, Any], message: str, tmp_path: Path, quiet: Console
):
    with pytest.raises(ValueError, match=message):
        optimize(run_with(generate, **tables), tmp_path / "run", quiet, LOCAL)
    assert not (tmp_path / "run").exists()


def test_a_policy_with_given_parts_needs_them_again(tmp_path: Path, quiet: Console):
    run = run_with({"start": "c1ccccc1"}, stop={"scores": 20})
    optimize(run, tmp_path / "run", quiet, LOCAL)
    again = run.model_copy(update={"prior": str(tmp_path / "run"), "generate": None})
    with pytest.raises(ValueError, match=r"tuned with given parts: give the same"):
        starting_prior(again)
    same = run.model_copy(update={"prior": str(tmp_path / "run")})
    assert starting_prior(same).encoding.constraint is not None


def test_a_start_from_a_file_is_text_in_the_config(tmp_path: Path):
    midi = pretty_midi.PrettyMIDI(initial_tempo=60)
    piano = pretty_midi.Instrument(0)
    piano.notes = [pretty_midi.Note(90, 62 + i, i, i + 1) for i in range(2)]
    midi.instruments = [piano]
    midi.write(str(tmp_path / "motif.mid"))
    config = {
        "encoding": "melody",
        "prior": "lieder",
        "reward": {"component": [{"name": "music_theory"}]},
        "stop": {"scores": 10},
    }
    motif = {"start": str(tmp_path / "motif.mid")}
    run = parse_config(config | {"generate": motif})
    assert run.generate is not None and run.generate.start == "D4---D#4---"
    prior = load_prior("lieder")
    prior.encoding = sampling_encoding(prior, motif)
    assert all(text.startswith("D4---D#4---") for text in prior.sample(3, 0))
    with pytest.raises(ConfigError, match="generate.start: there is no file none.mid"):
        parse_config(config | {"generate": {"start": "none.mid"}})

"""Episodes of what a proposer proposes: new, valid, and such that the policy could write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from searching import open_replay, texts_of, with_texts

from sequence_tutor.distributed.generating.proposals import Proposals, encoded, episodes_of
from sequence_tutor.distributed.replay.client import ReplayClient
from sequence_tutor.distributed.replay.messages import RecordView
from sequence_tutor.distributed.types import ActorReport, Generated, Scored
from sequence_tutor.policies.encodings.melody import MelodyEncoding
from sequence_tutor.policies.encodings.smiles import SmilesEncoding
from sequence_tutor.rewards.domains import domain_of

ENCODING = SmilesEncoding.fit(["CCOC(N)=O", "c1ccccc1"], max_length=20)
SMILES = domain_of("smiles")


class Fixed:
    """Proposes some texts, whatever is asked for."""

    wants = 2, 1

    def __init__(self, texts: list[str], canonical: bool = False) -> None:
        self.texts, self.canonical = texts, canonical
        self.seen: list[RecordView] = []

    def propose(self, n: int, view: RecordView, random: np.random.Generator) -> list[str]:
        self.seen.append(view)
        return self.texts


class Drawn(Fixed):
    """Proposes some of its texts at random."""

    def propose(self, n: int, view: RecordView, random: np.random.Generator) -> list[str]:
        return [self.texts[i] for i in random.choice(len(self.texts), n, replace=False)]


@pytest.fixture
def replay(tmp_path: Path, make_scored: Callable[..., Scored]) -> ReplayClient:
    replay = open_replay(tmp_path / "record")
    replay.add(with_texts(make_scored(["CCO", "CCN", "CC(C)=O"], rewards=[0.1, 0.3, 0.2])))
    return replay


def made(proposer: Any, replay: ReplayClient, **changes: Any) -> tuple[ActorReport, Generated]:
    plain = {"name": "mine", "domain": SMILES, "encoding": ENCODING, "seed": 0, "worker": 1}
    proposals = Proposals(proposer=proposer, replay=replay, **plain | changes)
    report, batch = proposals.make(5, [0], "mine-1")
    assert batch is not None
    return report, batch


def test_known_invalid_repeated_and_unwritable_ones_are_left_out(replay: ReplayClient):
    texts = [
        "OCC",  # known, in another spelling
        "CCC",
        "C(C)C",  # the same
        "C1CC",  # invalid
        "CCBr",  # a token that the prior lacks
        "CCCCCCCCCCCCCCCCCCCC",  # 21 tokens with the end
        "OC",
    ]
    proposer = Fixed(texts)
    report, batch = made(proposer, replay)
    assert texts_of(ENCODING, batch) == ["CCC", "OC"]
    assert (report.source, report.rows, report.version) == ("mine", 7, -1)
    assert batch.sources == ["mine"] * 2 and batch.actors == ["mine-1"] * 2
    assert (batch.versions == -1).all() and np.isnan(batch.episodes.log_probs).all()
    assert np.isnan(report.kl_to_prior) and report.seconds > 0
    (view,) = proposer.seen
    assert view.keys[: view.best] == ["CCN", "CC(C)=O"]  # what it wants to see


def test_a_canonical_form_stands_for_a_spelling_that_can_not_be_written(replay: ReplayClient):
    _, batch = made(Fixed(["[CH3]CC", "[Si]"]), replay)
    assert texts_of(ENCODING, batch) == ["CCC"]


def test_texts_of_a_canonical_proposer_are_not_parsed(replay: ReplayClient):
    _, batch = made(Fixed(["CCO", "C1CC"], canonical=True), replay)
    assert texts_of(ENCODING, batch) == ["C1CC"]


def test_a_proposer_without_anything_new_makes_no_batch(replay: ReplayClient):
    """It counts nevertheless: a run of which nothing comes must end at `stop.sequences`."""
    for texts, rows in (([], 1), (["OCC", "C1CC"], 2)):
        proposals = Proposals("mine", Fixed(texts), SMILES, ENCODING, replay, 0, 1)
        report, batch = proposals.make(5, [0], "mine-1")
        assert batch is None and report.rows == rows


def test_a_batch_is_a_function_of_seed_worker_name_and_entropy(replay: ReplayClient):
    proposer = Drawn(["C" * n for n in range(3, 19)])

    def drawn(entropy: int = 0, **changes: Any) -> list[str]:
        plain = {"name": "mine", "domain": SMILES, "encoding": ENCODING, "seed": 0, "worker": 1}
        proposals = Proposals(proposer=proposer, replay=replay, **plain | changes)
        batch = proposals.make(5, [entropy], "mine-1")[1]
        assert batch is not None
        return texts_of(ENCODING, batch)

    assert drawn() == drawn()
    others = [drawn(1), drawn(seed=1), drawn(worker=2), drawn(name="yours")]
    assert drawn() not in others and len({tuple(one) for one in others}) == 4


def test_melodies_must_have_the_length_of_the_run():
    """They have no end token, so a shorter one would be an episode that isn't over."""
    encoding = MelodyEncoding.fit([], max_length=8)
    texts = [encoding.decode(np.arange(2, 2 + n)) for n in (8, 7, 9)]
    assert list(encoded(encoding, texts)) == texts[:1]


def test_episodes_are_padded():
    episodes = episodes_of([np.array([3, 4, 5], np.int16), np.array([6], np.int16)])
    assert episodes.tokens.tolist() == [[3, 4, 5], [6, 0, 0]]
    assert episodes.lengths.tolist() == [3, 1]

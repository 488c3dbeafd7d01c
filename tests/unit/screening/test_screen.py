"""What the screen lets through, and that its choice is a function of its arguments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from searching import batch_of, open_replay, texts_of, with_texts

from sequence_tutor.distributed.replay.client import ReplayClient
from sequence_tutor.distributed.screening import screen as screen_module
from sequence_tutor.distributed.screening.screen import Screen, equal_slices
from sequence_tutor.distributed.search_config import GeneticConfig, ScreenConfig
from sequence_tutor.distributed.types import Generated, Scored, join_generated
from sequence_tutor.policies.encodings.smiles import SmilesEncoding
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.domains import domain_of

DOMAIN = domain_of("smiles")
INVALID = ["C1CC", "C(C", "c1cc"]
KNOWN, BATCH = 60, 8


def reward(smiles: str) -> float:
    """What the screen can learn: the number of nitrogen atoms."""
    return smiles.count("N")


def prior_of(encoding: SmilesEncoding) -> Any:
    """All that a screen without `plausible` needs of a prior."""
    return SimpleNamespace(encoding=encoding)


@pytest.fixture
def encoding(molecules: list[str]) -> SmilesEncoding:
    return SmilesEncoding.fit([*molecules, *INVALID], max_length=60)


@pytest.fixture
def record(molecules: list[str], make_scored: Callable[..., Scored]) -> Scored:
    """The rows of the first molecules."""
    keys = [DOMAIN.key(text) for text in molecules[:KNOWN]]
    return with_texts(make_scored(keys, rewards=[reward(str(key)) for key in keys]))


@pytest.fixture
def replay(tmp_path: Path, record: Scored) -> ReplayClient:
    replay = open_replay(tmp_path / "record")
    replay.add(record)
    return replay


@pytest.fixture
def new(encoding: SmilesEncoding, replay: ReplayClient) -> Callable[..., Screen]:
    """Makes a screen of the replay; keyword arguments are settings."""

    def make(genetic: GeneticConfig | None = None, **settings: Any) -> Screen:
        plain = {"batch": BATCH, "start": 20, "random": 0.0, "children": 12}
        config = ScreenConfig(**plain | settings)
        return Screen(config, genetic, DOMAIN, prior_of(encoding), replay, None, seed=3)

    return make


@pytest.fixture
def candidates(molecules: list[str], encoding: SmilesEncoding) -> list[Generated]:
    """Of the policy new, known, repeated and invalid ones; of another proposer new ones."""
    mine = [*molecules[KNOWN : KNOWN + 30], *molecules[:5], *molecules[KNOWN : KNOWN + 4], *INVALID]
    return [
        batch_of(encoding, mine),
        batch_of(encoding, molecules[KNOWN + 28 : KNOWN + 60], "genetic"),
    ]


def keys_of(encoding: SmilesEncoding, batch: Generated) -> list[str]:
    """The keys of the valid ones."""
    return [key for text in texts_of(encoding, batch) if (key := DOMAIN.key(text)) is not None]


def test_before_the_start_candidates_are_drawn_at_random(
    new: Callable[..., Screen], candidates: list[Generated], encoding: SmilesEncoding
):
    drawn = [new(start=KNOWN + 1).choose(candidates, [i], "screen")[1] for i in (0, 0, 1)]
    first, again, other = (keys_of(encoding, chosen) for chosen in drawn)
    assert len(first) == len(set(first)) == len(other) == BATCH
    assert first == again and set(first) != set(other)
    # as many as are missing, if that is more than a batch
    _, chosen = new(start=KNOWN + 3 * BATCH).choose(candidates, [0], "screen")
    assert len(keys_of(encoding, chosen)) == 3 * BATCH


def test_before_the_start_all_that_is_new_may_go_on(
    new: Callable[..., Screen],
    candidates: list[Generated],
    encoding: SmilesEncoding,
    molecules: list[str],
):
    report, chosen = new(start=KNOWN + 100).choose(candidates, [0], "screen")
    expected = {DOMAIN.key(text) for text in molecules[KNOWN : KNOWN + 60]}
    keys = keys_of(encoding, chosen)
    assert set(keys) == expected and len(keys) == 60
    assert [t for t in texts_of(encoding, chosen) if DOMAIN.key(t) is None] == INVALID
    assert (report.candidates, report.rows, report.bred) == (60, 63, {})
    # five known and four repeated of the policy; two that both have made count for the first
    assert report.screened_out == {"policy": 9, "genetic": 2}


def test_a_batch_is_chosen_of_new_ones_and_the_invalid_go_on(
    new: Callable[..., Screen],
    candidates: list[Generated],
    encoding: SmilesEncoding,
    record: Scored,
):
    report, chosen = new().choose(candidates, [0], "screen")
    keys = keys_of(encoding, chosen)
    assert len(keys) == len(set(keys)) == BATCH
    assert not set(keys) & set(record.keys)
    assert len(chosen) == report.rows == BATCH + len(INVALID)
    every = Counter(join_generated(candidates).sources)
    assert Counter(chosen.sources) + Counter(report.screened_out) == every
    assert report.candidates == 60 and report.seconds > 0


def test_the_chosen_are_promising(
    new: Callable[..., Screen], candidates: list[Generated], encoding: SmilesEncoding
):
    """With hardly any exploration they are those with the most nitrogen."""
    _, chosen = new(explore=(1e-6, 1e-6)).choose(candidates, [0], "screen")
    found = [reward(key) for key in keys_of(encoding, chosen)]
    every = [reward(key) for batch in candidates for key in keys_of(encoding, batch)]
    assert np.mean(found) > np.mean(every) + np.std(every)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_a_batch_is_practical(
    share: float,
    new: Callable[..., Screen],
    candidates: list[Generated],
    encoding: SmilesEncoding,
    monkeypatch: pytest.MonkeyPatch,
):
    """The best have nitrogen, and nothing with nitrogen is practical here."""
    monkeypatch.setattr(type(DOMAIN), "practical", lambda self, key: "N" not in key)
    settings = {"filters": True, "practical_share": share, "explore": (1e-6, 1e-6)}
    for genetic in (None, GeneticConfig()):
        report, chosen = new(genetic, **settings).choose(candidates, [0], "screen")
        keys = keys_of(encoding, chosen)
        assert len(keys) == len(set(keys)) == BATCH
        without = sum("N" not in key for key in keys)
        assert without == round(share * BATCH)
        assert (report.bred.get("genetic", 0) > 0) == (genetic is not None)


def test_parents_of_plausible_children_are_plausible(
    new: Callable[..., Screen],
    candidates: list[Generated],
    encoding: SmilesEncoding,
    monkeypatch: pytest.MonkeyPatch,
):
    """Here NLL grows with nitrogen, of which the record's best rows have most."""

    class Judge:
        limit = 0.5

        def __init__(self, *_: object) -> None:
            self.asked: list[str] = []

        def judge(self, keys: list[str]) -> tuple[list[str], np.ndarray]:
            self.asked += keys
            return list(keys), np.array([reward(key) for key in keys], float)

        def of_rows(self, keys: list[str]) -> dict[str, float]:
            return {key: reward(key) for key in keys}

    monkeypatch.setattr(screen_module, "Plausibility", Judge)
    parents: list[list[str]] = []
    breed = screen_module.children

    def seen(texts: list[str], *rest: Any) -> list[str]:
        parents.append([str(DOMAIN.key(text)) for text in texts])
        return breed(texts, *rest)

    monkeypatch.setattr(screen_module, "children", seen)
    screen = new(GeneticConfig(), plausible=0.9, practical_share=0.5)
    for _ in range(2):
        _, chosen = screen.choose(candidates, [0], "screen")
        keys = keys_of(encoding, chosen)
        assert sum("N" not in key for key in keys) >= BATCH // 2
    plausible, free = parents[:2]
    assert not any("N" in key for key in plausible) and any("N" in key for key in free)


def test_the_choice_is_a_function_of_its_arguments(
    new: Callable[..., Screen],
    candidates: list[Generated],
    encoding: SmilesEncoding,
    molecules: list[str],
    replay: ReplayClient,
    make_scored: Callable[..., Scored],
):
    """What one of two screens has chosen before is on record meanwhile."""
    genetic = GeneticConfig(parents=20)
    used, fresh = new(genetic), new(genetic)
    others = batch_of(encoding, molecules[KNOWN + 50 : KNOWN + 90])
    _, before = used.choose([others], [4], "screen")
    keys = keys_of(encoding, before)
    replay.add(with_texts(make_scored(keys, rewards=[reward(key) for key in keys], seed=1)))
    (first, one), (second, other) = (s.choose(candidates, [5], "screen") for s in (used, fresh))
    assert texts_of(encoding, one) == texts_of(encoding, other)
    assert one.sources == other.sources and not set(keys) & set(keys_of(encoding, one))
    assert replace(first, seconds=0.0) == replace(second, seconds=0.0)
    _, another = new(genetic).choose(candidates, [6], "screen")
    assert texts_of(encoding, another) != texts_of(encoding, one)  # a control


def test_what_was_chosen_is_not_chosen_again_before_it_is_on_record(
    new: Callable[..., Screen], candidates: list[Generated], encoding: SmilesEncoding
):
    screen = new()
    batches = [keys_of(encoding, screen.choose(candidates, [i], "s")[1]) for i in range(9)]
    found = [key for keys in batches for key in keys]
    assert [len(keys) for keys in batches] == [BATCH] * 7 + [60 - 7 * BATCH, 0]
    assert len(set(found)) == len(found) == 60


@pytest.mark.parametrize(("share", "drawn"), [(0.0, 0), (0.25, 2), (1.0, 8)])
def test_a_share_is_drawn_at_random(
    new: Callable[..., Screen],
    candidates: list[Generated],
    encoding: SmilesEncoding,
    monkeypatch: pytest.MonkeyPatch,
    share: float,
    drawn: int,
):
    asked, choose = [], screen_module.choose_batch

    def counted(*arguments: Any) -> list[int]:
        asked.append(arguments[3])
        return choose(*arguments)

    monkeypatch.setattr(screen_module, "choose_batch", counted)
    _, chosen = new(random=share).choose(candidates, [0], "screen")
    assert asked == [BATCH - drawn] and len(keys_of(encoding, chosen)) == BATCH


def test_children_of_candidates_are_new_and_counted(
    new: Callable[..., Screen],
    candidates: list[Generated],
    encoding: SmilesEncoding,
    record: Scored,
):
    screen = new(GeneticConfig(parents=20), generations=2, batch=40)
    report, chosen = screen.choose(candidates, [0], "screen")
    bred = report.bred["genetic"]
    assert 12 < bred <= 24 and report.candidates == 60 + bred
    every = Counter(join_generated(candidates).sources) + Counter({"genetic": bred})
    assert Counter(chosen.sources) + Counter(report.screened_out) == every
    keys = keys_of(encoding, chosen)
    assert len(set(keys)) == len(keys) == 40 and not set(keys) & set(record.keys)
    proposed = {key for batch in candidates for key in keys_of(encoding, batch)}
    born = [i for i, actor in enumerate(chosen.actors) if actor == "screen"]
    assert born and {chosen.sources[i] for i in born} == {"genetic"}
    texts = texts_of(encoding, chosen)
    assert {texts[i] for i in born} == set(keys) - proposed
    assert np.isnan(chosen.episodes.log_probs[born]).all()


def test_equal_rewards_break_nothing(
    encoding: SmilesEncoding,
    candidates: list[Generated],
    record: Scored,
    tmp_path: Path,
):
    replay = open_replay(tmp_path / "equal")
    replay.add(replace(record, rewards=np.full(len(record), 0.5)))
    config = ScreenConfig(batch=BATCH, start=20, children=12)
    screen = Screen(config, GeneticConfig(), DOMAIN, prior_of(encoding), replay, None, seed=0)
    _, chosen = screen.choose(candidates, [0], "screen")
    assert len(keys_of(encoding, chosen)) == BATCH


@pytest.mark.parametrize("complete", [0, 10, 40, KNOWN])
def test_rows_without_components_are_left_out_where_components_are_predicted(
    encoding: SmilesEncoding,
    candidates: list[Generated],
    record: Scored,
    tmp_path: Path,
    complete: int,
):
    """As those of a warm start. With too few others the reward itself is predicted."""
    replay = open_replay(tmp_path / "warm")
    replay.add(replace(record.select(range(complete, KNOWN)), raw={}, transformed={}))
    replay.add(record.select(range(complete)))
    objective = build_reward(RewardConfig.model_validate({"component": [{"name": "qed"}]}))
    config = ScreenConfig(batch=BATCH, start=20, children=12, learns="components")
    screen = Screen(config, GeneticConfig(), DOMAIN, prior_of(encoding), replay, objective, seed=0)
    _, chosen = screen.choose(candidates, [0], "screen")
    assert len(keys_of(encoding, chosen)) == BATCH
    assert screen._by_parts is (complete >= 20)
    found = screen._predict(keys_of(encoding, chosen))
    assert np.isfinite(found.means).all() and found.means.shape[1] == 1 + (complete >= 20)


def test_candidates_of_which_none_is_new_give_the_invalid_ones(
    new: Callable[..., Screen], encoding: SmilesEncoding, molecules: list[str]
):
    batch = batch_of(encoding, [*molecules[:5], *INVALID])
    report, chosen = new().choose([batch], [0], "screen")
    assert texts_of(encoding, chosen) == INVALID and report.candidates == 0
    assert report.screened_out == {"policy": 5}
    assert [len(part) for part in equal_slices(chosen, 2)] == [2, 1]
    none = batch_of(encoding, molecules[:5])
    _, chosen = new().choose([none], [0], "screen")
    assert len(chosen) == 0 and equal_slices(chosen, 2) == []


def test_all_are_chosen_where_they_are_fewer_than_the_batch(
    new: Callable[..., Screen], encoding: SmilesEncoding, molecules: list[str]
):
    few = molecules[KNOWN : KNOWN + 3]
    _, chosen = new(random=0.5).choose([batch_of(encoding, few)], [0], "screen")
    assert sorted(texts_of(encoding, chosen)) == sorted(few)

"""An isolated reward gives the same scores as one in this process, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sequence_tutor.rewards.base import Scores, Status
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.domains import domain_named
from sequence_tutor.rewards.isolation.reward import IsolatedReward
from sequence_tutor.rewards.melodies.spelling import tokens_of as melody_tokens
from sequence_tutor.rewards.molecules.molecule import tokens_of

MOLECULES = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "C1",
    "CCO",
    "CC(=O)Nc1ccc(O)cc1",
    "",
    "C" * 40,
    "c1ccc2ccccc2c1",
    "C(",
]
MELODIES = ["C4-D4-C#4-E4-D4-.-E4---", "F#4-" * 8, "no melody", "G4" * 16, "C4-E4-G4-C5-" * 2]
SIGMOID = {"type": "sigmoid", "low": 0, "high": 5}
SECTIONS: dict[str, dict[str, Any]] = {
    "plain": {"component": [{"name": "qed"}]},
    "mean": {
        "component": [
            {"name": "logp", "transform": SIGMOID, "weight": 0.3},
            {"name": "sa", "transform": SIGMOID, "weight": 1.7},
            {"name": "tpsa", "transform": {"type": "gaussian", "mean": 60, "sigma": 20}},
            {"name": "qed"},
            {"name": "substructure", "smarts": "C(=O)O", "weight": 0},
        ],
        "aggregate": "geometric_mean",
        "invalid": -0.1,
    },
    "sum": {"component": [{"name": "logp", "weight": 0.1}, {"name": "sa"}, {"name": "tpsa"}]},
    "filters": {
        "component": [
            {"name": "python", "function": "bad_rewards:by_element"},
            {"name": "qed"},
            {"name": "ring_count", "transform": {"type": "step", "high": 1}, "role": "filter"},
            {"name": "csp3", "role": "penalty"},
        ],
    },
    "failures beside unpriced ones": {
        "component": [
            {"name": "python", "function": "bad_rewards:by_element"},
            {"name": "logp"},
        ],
        "failed": -7,
    },
    "failures": {
        "component": [{"name": "python", "function": "bad_rewards:carbons"}, {"name": "qed"}],
        "aggregate": "geometric_mean",  # which fails for values above 1
        "failed": -7,
    },
    "on the way": {"component": [{"name": "sequence_tutor", "prefix_terms": True}]},
    "python": {"component": [{"name": "python", "function": "bad_rewards:by_element"}]},
    "batched": {
        "component": [{"name": "python", "function": "bad_rewards:batch", "batched": True}]
    },
}


def require_same(here: Scores, there: Scores) -> None:
    assert there.errors == here.errors
    pairs = [(here.rewards, there.rewards), (here.status, there.status)]
    for kind in ("raw", "transformed", "step_raw"):
        assert list(getattr(here, kind)) == list(getattr(there, kind))
        pairs += zip(getattr(here, kind).values(), getattr(there, kind).values(), strict=True)
    assert (here.step_rewards is None) == (there.step_rewards is None)
    if here.step_rewards is not None:
        pairs.append((here.step_rewards, there.step_rewards))  # type: ignore[arg-type]
    for ours, theirs in pairs:
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        np.testing.assert_array_equal(theirs, ours)


def both(
    section: dict[str, Any], domain: str, sequences: list[str], tokens: Any, path: str
) -> tuple[Scores, Scores]:
    config = RewardConfig.model_validate(section)
    here = build_reward(config, domain).score(sequences, tokens)
    with IsolatedReward(config, domain, [path]) as reward:
        return here, reward.score(sequences, tokens)


@pytest.mark.parametrize("split", [True, False], ids=["tokens", "no tokens"])
@pytest.mark.parametrize("section", SECTIONS.values(), ids=SECTIONS)
def test_molecules_have_the_same_scores(section: dict[str, Any], split: bool, plugins: Any) -> None:
    sequences = [s for s in MOLECULES if "bad_rewards" not in str(section) or "O" not in s[:1]]
    tokens = [tokens_of(s) for s in sequences] if split else None
    require_same(*both(section, "molecules", sequences, tokens, str(plugins)))


@pytest.mark.parametrize(
    "extra",
    [[], [{"name": "python", "function": "bad_rewards:carbons", "weight": 0.25}]],
    ids=["a batch", "one by one"],
)
@pytest.mark.parametrize("aggregate", ["sum", "arithmetic_mean"])
def test_melodies_have_the_same_scores(aggregate: str, extra: list[Any], plugins: Any) -> None:
    tokens = [melody_tokens(m) if m != "no melody" else list(m) for m in MELODIES]
    parts = [{"name": "music_theory", "weights": {"tonic": 0.3}}, *extra]
    section = {"aggregate": aggregate, "component": parts}
    here, there = both(section, "melodies", MELODIES, tokens, str(plugins))
    require_same(here, there)
    assert here.step_rewards is not None and len(here.step_raw) == 9


@pytest.mark.parametrize("one", [True, False], ids=["one by one", "a batch"])
def test_a_function_that_pays_steps_has_the_same_scores(one: bool, plugins: Any) -> None:
    melodies = ["C4-D4-C#4-E4-D4-.-E4---", "F#4-" * 6, "no melody", "G4" * 12, "D3-E3-" * 3]
    function = "step_rules:careless" if one else "step_rules:in_key_of_all"
    melodies = melodies if one else [m for m in melodies if len(melody_tokens_or_none(m)) == 12]
    mine = {"name": "python", "function": function, "per_step": True, "batched": not one}
    section = {"aggregate": "sum", "component": [{"name": "motif"}, mine, {"name": "step_share"}]}
    tokens = [melody_tokens_or_none(m) for m in melodies]
    here, there = both(section, "melodies", melodies, tokens, str(plugins))
    require_same(here, there)
    assert here.step_rewards is not None and here.raw["python"][0] < 0
    # what is known isn't called for, in another process either
    config = RewardConfig.model_validate(section)
    with IsolatedReward(config, "melodies", [str(plugins)]) as reward:
        known = {"python": here.step_raw["python"] - 1.0}  # as if it had been another function
        again = reward.score(melodies, tokens, known)
    ok = here.status == Status.OK
    lengths = np.array([len(row) for row in tokens])
    np.testing.assert_allclose(again.rewards[ok], (here.rewards - lengths)[ok], rtol=1e-6)


def melody_tokens_or_none(text: str) -> list[str]:
    return list(text) if text == "no melody" else melody_tokens(text)


def test_a_function_that_pays_steps_can_be_killed(plugins: Any) -> None:
    mine = {"name": "python", "function": "step_rules:careless", "per_step": True}
    section = {"aggregate": "sum", "component": [mine, {"name": "key"}], "timeout_s": 1.0}
    melodies = ["C4-F#4-D4-E4-", "C#5---", "D#5---", "D3---", "C4---C#4---"]
    with IsolatedReward(RewardConfig.model_validate(section), "melodies", [str(plugins)]) as reward:
        scores = reward.score(melodies, [melody_tokens(m) for m in melodies])
    assert scores.status.tolist() == [
        Status.OK,
        Status.CRASHED,
        Status.TIMEOUT,
        Status.FAILED,
        Status.OK,
    ]
    assert "exited with code 3" in scores.errors[1] and "timeout_s = 1" in scores.errors[2]
    assert scores.errors[3] == "python: returned 2 numbers for 4 actions"
    steps, paid = scores.step_raw["python"], scores.step_rewards
    assert paid is not None and np.isnan(steps[1:4]).all() and np.isnan(paid[1:4]).all()
    assert steps[0, :8].tolist() == [0, 0, -1, 0, 0, 0, 0, 0] and paid[0, 2] == -2.0


@pytest.mark.parametrize("failed", [None, -3.0])
def test_a_crash_pays_failed_at_the_last_action(failed: float | None, plugins: Any) -> None:
    part = {"name": "python", "function": "bad_rewards:falls_for_b"}
    section = {"component": [{"name": "music_theory"}, part], "failed": failed}
    config = RewardConfig.model_validate(section)
    sequences = ["C4-------", "B4---------", "C4-E4-G4-"]
    tokens = [melody_tokens(m) for m in sequences]
    with IsolatedReward(config, "melodies", [str(plugins)]) as reward:
        scores = reward.score(sequences, tokens)
    assert scores.status.tolist() == [Status.OK, Status.CRASHED, Status.OK]
    steps, end = scores.step_rewards, len(tokens[1])
    assert steps is not None and steps.shape == (3, end + 1)
    assert np.isnan(scores.step_raw["tonic"][1]).all()
    if failed is None:
        assert np.isnan(steps[1]).all() and np.isnan(scores.rewards[1])
    else:
        assert steps[1, end] == failed and np.count_nonzero(steps[1]) == 1
        np.testing.assert_allclose(steps.sum(1), scores.rewards, rtol=1e-5)


def test_the_examples_of_domains_are_valid() -> None:
    for domain, component in (("molecules", "qed"), ("melodies", "music_theory")):
        config = RewardConfig.model_validate({"component": [{"name": component}]})
        scores = build_reward(config, domain).score([domain_named(domain).example])
        assert scores.status.tolist() == [Status.OK]


def test_scores_do_not_depend_on_the_batch() -> None:
    """Not even the last bit: sums must not depend on the batch size or on the padding."""
    for section in (SECTIONS["mean"], SECTIONS["sum"], SECTIONS["on the way"]):
        reward = build_reward(RewardConfig.model_validate(section))
        together = reward.score(MOLECULES * 8)
        for i, sequence in enumerate(MOLECULES):
            alone = reward.score([sequence])
            np.testing.assert_array_equal(together.rewards[i], alone.rewards[0])
            if alone.step_rewards is not None and together.step_rewards is not None:
                width = alone.step_rewards.shape[1]
                np.testing.assert_array_equal(
                    together.step_rewards[i, :width], alone.step_rewards[0]
                )

"""A user's function that pays each step: the same as a rule of ours, and what is no such answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sequence_tutor.rewards.base import Scores, Status
from sequence_tutor.rewards.bounds import UNKNOWN, reward_range
from sequence_tutor.rewards.compile import build_reward, without_calls
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.single import value_of

MINE: dict[str, Any] = {
    "name": "python",
    "function": "step_rules:in_key",
    "per_step": True,
    "label": "mine",
}
MELODIES = ["C4-C#4-D4.G#4---A4-", "F#3" * 12, "-" * 12, "C4-C#4-D4.G#4---B4-"]


def config_of(*components: dict[str, Any], **more: Any) -> RewardConfig:
    return RewardConfig.model_validate({"aggregate": "sum", "component": components} | more)


def score(*components: dict[str, Any], melodies: list[str] = MELODIES, **more: Any) -> Scores:
    return build_reward(config_of(*components, **more), "melodies").score(melodies)


@pytest.fixture(autouse=True)
def importable(plugins: Path) -> None:
    """The functions can be imported."""


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("aggregate", ["sum", "arithmetic_mean"])
def test_it_pays_as_a_rule_of_ours(batched: bool, aggregate: str):
    mine = MINE | {"weight": 2.0}
    if batched:
        mine |= {"batched": True, "function": "step_rules:in_key_of_all"}
    others = ({"name": "motif"}, {"name": "step_share"})
    melodies = ["C4-C#4-D4.G#4-----", "F#3" * 12, "-" * 12] if batched else MELODIES
    rule = {"name": "key", "weight": 2.0, "label": "mine"}
    given = {"melodies": melodies, "aggregate": aggregate}
    theirs, ours = score(mine, *others, **given), score(rule, *others, **given)
    assert not any(theirs.errors) and theirs.rewards.tolist() == ours.rewards.tolist()
    assert theirs.raw["mine"].tolist() == ours.raw["mine"].tolist()
    assert ours.raw["mine"].min() < 0
    for found, expected in (
        (theirs.step_rewards, ours.step_rewards),
        (theirs.step_raw["mine"], ours.step_raw["mine"]),
    ):
        assert found is not None and expected is not None
        assert np.array_equal(found, expected, equal_nan=True)
    assert list(theirs.step_raw) == ["mine", "motif"]


def test_the_value_is_the_sum():
    assert value_of("python", "F#3" * 12, {"function": "step_rules:in_key", "per_step": True},
                    "melodies") == -12.0  # fmt: skip
    squeezed = MINE | {"transform": {"type": "linear", "low": -12, "high": 0}}
    scores = score(squeezed, {"name": "motif"})
    assert scores.transformed["mine"][1] == 0.0 and scores.transformed["mine"][2] == 1.0
    assert scores.step_rewards is not None
    assert scores.step_rewards[2, 12] == pytest.approx(1.0)  # paid at the end


def test_molecules_are_paid_by_the_token():
    config = RewardConfig.model_validate(
        {"aggregate": "sum", "component": [MINE | {"function": "builtins:list"}]}
    )
    scores = build_reward(config).score(["CCO"])
    assert scores.errors == ["mine: returned str, not a number, where there should be one number "
                             "per action"]  # fmt: skip
    with pytest.raises(ValueError, match="reward.standardize changes it"):
        build_reward(config.model_copy(update={"standardize": True}))


@pytest.mark.parametrize(
    ("melody", "words"),
    [
        ("D3---", "mine: returned 2 numbers for 4 actions"),
        ("E3---", "mine: returned float, not one number per action"),
        ("F3---", "mine: returned NoneType, not one number per action"),
        ("G3---", "mine: returned str, not one number per action"),
        ("A3---", "mine: returned dict, not one number per action"),
        ("B3---", "mine: returned 0 numbers for 4 actions"),
        ("C#3---", "mine: returned nan, where there should be one number per action"),
        ("C#4---", "mine: RuntimeError: no such key"),
    ],
)
def test_only_the_failing_melody_fails(melody: str, words: str):
    melodies = [MELODIES[0], melody, "-" * 8]
    scores = score(MINE | {"function": "step_rules:careless"}, melodies=melodies)
    assert scores.status.tolist() == [Status.OK, Status.FAILED, Status.OK]
    assert scores.errors[1] == words and scores.rewards[[0, 2]].tolist() == [-2.0, 0.0]
    assert np.isnan(scores.rewards[1]) and scores.step_rewards is not None
    assert np.isnan(scores.step_rewards[1]).all()


def test_what_cannot_pay_steps_is_refused():
    with pytest.raises(ValueError, match="judges each step, so it can't be a filter"):
        score(MINE | {"role": "filter"}, {"name": "key"})
    with pytest.raises(ValueError, match="per_step"):
        score(MINE | {"per_step": "yes"})


def test_a_rule_is_judged_one_by_one_so_that_it_can_be_killed():
    one, whole = {"name": "motif"}, MINE | {"batched": True}
    assert not build_reward(config_of(MINE, one), "melodies").judges_batches
    assert build_reward(config_of(whole, one), "melodies").judges_batches
    assert build_reward(config_of(one), "melodies").judges_batches


def test_nothing_is_imported_to_recompute():
    absent = MINE | {"function": "no_such_module:rule"}
    reward = without_calls(config_of(absent), "melodies")
    assert reward.step_keys == ("mine",) and reward.pays_steps
    raw, steps = {"mine": np.array([3.0])}, {"mine": np.array([[1, 2, np.nan]], np.float32)}
    scores = reward.recompute(raw, [["C4", "-"]], steps)
    assert scores.step_rewards is not None
    assert scores.step_rewards.tolist() == [[1.0, 2.0, 0.0]] and scores.rewards.tolist() == [3.0]
    assert reward_range(config_of(absent), "melodies") == UNKNOWN


def test_known_steps_are_not_called_for(outside: Any):
    reward = build_reward(config_of(MINE | {"function": "step_rules:counted"}), "melodies")
    fresh = reward.score(MELODIES)
    assert outside.calls() == MELODIES
    known = fresh.step_raw["mine"].copy()
    known[1] = np.nan
    for given in (known, known.tolist()):  # in another process it is a list
        again = reward.score(MELODIES, known={"mine": given})
        assert outside.calls() == [MELODIES[1]]
        assert again.rewards.tolist() == fresh.rewards.tolist()
        assert np.array_equal(again.step_rewards, fresh.step_rewards)  # type: ignore[arg-type]
    known[2, 5] = np.nan  # of another number of steps
    reward.score(MELODIES, known={"mine": known})
    assert outside.calls() == MELODIES[1:3]
    # a sum doesn't say which steps earned it
    reward.score(MELODIES, known={"mine": fresh.raw["mine"]})
    assert outside.calls() == MELODIES

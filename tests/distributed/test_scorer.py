"""A scorer as a plain class, in front of a replay that only pretends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sequence_tutor.distributed.replay.answers import Known
from sequence_tutor.distributed.scorer import Scorer
from sequence_tutor.distributed.types import Generated, Scored, per_step
from sequence_tutor.policies.encoding import Episodes, pad
from sequence_tutor.policies.melody import MelodyEncoding
from sequence_tutor.policies.smiles import SmilesEncoding
from sequence_tutor.rewards.base import Reward, Scores, Status
from sequence_tutor.rewards.build import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.domains import domain_of

ENCODING = SmilesEncoding.fit(["CCO", "C(N)=O"], max_length=6)
CUT = "CCCCCC"  # six tokens: no room for the end token


class FakeReplay:
    """Knows the rows it is given."""

    def __init__(self, rows: Scored | None = None) -> None:
        self.rows = rows

    def known(self, keys: Sequence[str]) -> Known:
        held = self.rows.keys if self.rows is not None else []
        found = np.array([key in held for key in keys])
        if self.rows is None or not found.any():
            return Known(found, None)
        return Known(found, self.rows.select([held.index(k) for k in keys if k in held]))


class Counting:
    """Passes everything on and remembers what was asked."""

    def __init__(self, reward: Reward) -> None:
        self.reward, self.asked = reward, []

    def score(
        self, sequences: Sequence[str], tokens: Sequence[Sequence[str]] | None = None
    ) -> Scores:
        self.asked += sequences
        return self.reward.score(sequences, tokens)


def generated(*texts: str) -> Generated:
    encoded = [ENCODING.encode(t)[: ENCODING.max_length] for t in texts]
    tokens, lengths = pad(encoded)
    log_probs = -np.arange(len(texts), dtype=np.float32)
    return Generated(Episodes(tokens, lengths, log_probs), 7, "actor-1", "policy", 0.1)


def scorer(replay: FakeReplay, **component: object) -> tuple[Scorer, Counting]:
    config = RewardConfig.model_validate({"component": [{"name": "logp"} | component]})
    reward = Counting(build_reward(config))
    return Scorer(ENCODING, domain_of("smiles"), reward, replay), reward  # type: ignore[arg-type]


def test_rows_carry_everything_of_their_episode():
    one, _ = scorer(FakeReplay())
    report, scored = one.score(generated("CCO", "C(", "CCN"))
    assert scored is not None
    assert scored.sequences == ["CCO", "C(", "CCN"]
    assert scored.keys == ["CCO", "C(", "CCN"]
    assert scored.status.tolist() == [Status.OK, Status.INVALID, Status.OK]
    assert scored.log_probs.tolist() == [0.0, -1.0, -2.0]
    assert set(scored.versions) == {7} and set(scored.actors) == {"actor-1"}
    assert scored.raw["logp"][0] == scored.rewards[0] and np.isnan(scored.raw["logp"][1])
    assert (report.rows, report.valid, report.failed, report.rewarded) == (3, 2, 0, 3)
    assert report.reward_sum == pytest.approx(scored.rewards.sum())


def test_another_spelling_in_the_batch_is_not_scored_again():
    one, reward = scorer(FakeReplay())
    report, scored = one.score(generated("CCO", "OCC", "CCO", "CCN"))
    assert reward.asked == ["CCO", "CCN"]
    assert scored is not None and scored.keys == ["CCO", "CCN"]
    assert (report.rows, report.repeated, report.valid, report.rewarded) == (4, 2, 4, 4)
    assert report.reward_sum == pytest.approx(3 * scored.rewards[0] + scored.rewards[1])


def test_what_the_replay_knows_is_not_scored_again():
    first, _ = scorer(FakeReplay())
    _, before = first.score(generated("CCO"))
    assert before is not None
    one, reward = scorer(FakeReplay(before))
    report, scored = one.score(generated("OCC", "CCC"))
    assert reward.asked == ["CCC"]
    assert scored is not None and scored.keys == ["CCC"]
    assert report.repeated == 1
    assert report.reward_sum == pytest.approx(before.rewards[0] + scored.rewards[0])


def test_a_batch_without_news_has_no_rows():
    first, _ = scorer(FakeReplay())
    _, before = first.score(generated("CCO"))
    one, reward = scorer(FakeReplay(before))
    report, scored = one.score(generated("CCO", "OCC"))
    assert scored is None and reward.asked == []
    assert (report.rows, report.repeated, report.rewarded) == (2, 2, 2)


def test_rewards_along_the_way_fit_the_tokens():
    one, _ = scorer(FakeReplay(), name="sequence_tutor", prefix_terms=True)
    batch = generated("CCO", CUT, "C(")
    _, scored = one.score(batch)
    assert scored is not None and scored.step_rewards is not None
    assert scored.step_rewards.shape == batch.episodes.tokens.shape == (3, 6)
    np.testing.assert_allclose(scored.step_rewards.sum(1), scored.rewards, rtol=1e-5)
    # nothing before the first action, nothing after the last
    assert not scored.step_rewards[:, 0].any()
    inside = np.arange(6) < scored.lengths[:, None]
    assert not scored.step_rewards[~inside].any()
    # the terminal reward is paid by the last action, by the end token if there is one
    last = scored.step_rewards[np.arange(3), scored.lengths - 1]
    way = scored.step_rewards.sum(1) - last
    assert scored.lengths.tolist() == [4, 6, 3]
    assert last[2] < -50 and abs(way[2]) < 50  # invalid: -60 and the length penalty
    np.testing.assert_array_equal(per_step(scored), scored.step_rewards)


def test_a_terminal_reward_is_paid_by_the_last_action():
    one, _ = scorer(FakeReplay())
    _, scored = one.score(generated("CCO", CUT))
    assert scored is not None and scored.step_rewards is None
    steps = per_step(scored)
    assert steps.shape == (2, 6)
    assert steps[0, 3] == np.float32(scored.rewards[0])
    assert steps[1, 5] == np.float32(scored.rewards[1])
    assert np.count_nonzero(steps) == 2


MELODIES = ["C4-D4-C#4-E4-D4-.-E4---", "F#4-" * 8, "G4" * 16]


def of_melodies(*components: dict[str, object]) -> Scored:
    """What a scorer makes of `MELODIES`, which have 16 steps and no end token."""
    encoding = MelodyEncoding.fit([], max_length=16)
    config = RewardConfig.model_validate({"aggregate": "sum", "component": list(components)})
    reward = build_reward(config, "melodies")
    one = Scorer(encoding, domain_of("melody"), reward, FakeReplay())  # type: ignore[arg-type]
    tokens, lengths = pad([encoding.encode(m) for m in MELODIES])
    assert lengths.tolist() == [16] * 3
    episodes = Episodes(tokens, lengths, np.zeros(3, np.float32))
    _, scored = one.score(Generated(episodes, 0, "actor-1", "policy", 0.1))
    assert scored is not None
    return scored


def test_an_episode_of_fixed_length_is_paid_within_it():
    scored = of_melodies({"name": "key", "weight": 2.0}, {"name": "motif"})
    assert scored.status.tolist() == [Status.OK] * 3
    assert scored.step_rewards is not None and scored.step_rewards.shape == (3, 16)
    np.testing.assert_allclose(scored.step_rewards.sum(1), scored.rewards, rtol=1e-5)
    for name, values in scored.step_raw.items():
        assert values.shape == (3, 16) and np.isfinite(values).all()
        np.testing.assert_allclose(values.sum(1), scored.raw[name])
    assert scored.raw["key"].tolist() == [-1, -8, 0]
    # each step pays what it earned: the fifth token is the sharp, the eighth ends a motif
    assert np.flatnonzero(scored.step_raw["key"][0]).tolist() == [4]
    assert np.flatnonzero(scored.step_raw["motif"][0]).tolist() == [7]
    worth = 2 * scored.step_raw["key"] + scored.step_raw["motif"]
    np.testing.assert_allclose(scored.step_rewards, worth, atol=1e-6)
    np.testing.assert_array_equal(per_step(scored), scored.step_rewards)


def test_beside_rewards_by_the_step_the_rest_is_paid_by_the_last_step():
    squeezed = {"type": "linear", "low": -10, "high": 0}
    scored = of_melodies({"name": "motif"}, {"name": "key", "transform": squeezed, "weight": 5.0})
    assert scored.step_rewards is not None
    assert scored.transformed["key"].tolist() == pytest.approx([0.9, 0.2, 1.0])
    expected = scored.step_raw["motif"].copy()
    expected[:, 15] += 5 * scored.transformed["key"]
    np.testing.assert_allclose(scored.step_rewards, expected, atol=1e-6)
    np.testing.assert_allclose(scored.step_rewards.sum(1), scored.rewards, rtol=1e-5)

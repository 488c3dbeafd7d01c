"""A scorer as a plain class, with a fake replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from sequence_tutor.distributed.replay.claims import MAX_LOSSES
from sequence_tutor.distributed.replay.messages import AddResult, Claim, ClaimAnswer
from sequence_tutor.distributed.scoring.scorer import Identify, Scorer, invalid_key
from sequence_tutor.distributed.types import (
    Generated,
    PolicySamples,
    Scored,
    ScoreReport,
    concatenate,
    per_step,
)
from sequence_tutor.policies.encodings.base import Episodes, pad
from sequence_tutor.policies.encodings.melody import MelodyEncoding
from sequence_tutor.policies.encodings.smiles import SmilesEncoding
from sequence_tutor.rewards.base import Identity, Reward, Scores, Status, scores_of
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.domains import domain_of

ENCODING = SmilesEncoding.fit(["CCO", "C(N)=O"], max_length=6)
CUT = "CCCCCC"  # six tokens: no room for the end token


def identify_here(encoding: str) -> Identify:
    """The identity of each sequence, without processes."""
    domain = domain_of(encoding)
    return lambda sequences: [domain.identify(sequence) for sequence in sequences]


class FakeReplay:
    """Knows the given rows. `busy`: for how many claims another scorer holds a key."""

    def __init__(self, rows: Scored | None = None, busy: dict[str, int] | None = None) -> None:
        self.rows, self.busy = rows, busy or {}
        self.losses: dict[str, int] = {}
        self.released: list[str] = []
        self.held: set[str] = set()

    def claim(self, keys: Sequence[str]) -> ClaimAnswer:
        held = self.rows.keys if self.rows is not None else []
        state = np.full(len(keys), Claim.YOURS, dtype=np.int8)
        found = []
        for i, key in enumerate(keys):
            if key in held:
                state[i] = Claim.KNOWN
                found.append(held.index(key))
            elif self.busy.get(key, 0) > 0:
                state[i] = Claim.BUSY
                self.busy[key] -= 1
            else:
                self.held.add(key)
        return ClaimAnswer(
            state=state,
            losses=np.array([self.losses.get(k, 0) for k in keys], dtype=np.int8),
            known=scores_of([]) if self.rows is None else self.rows.select(found).scores,
            paid=None,
            already_scored_at=np.zeros(0, np.int64),
        )

    def release(self, keys: Sequence[str]) -> None:
        self.released += keys
        self.held -= set(keys)

    def add(self, scored: Scored) -> AddResult:
        assert set(scored.keys) <= self.held
        self.held -= set(scored.keys)
        self.rows = scored if self.rows is None else concatenate([self.rows, scored])
        return AddResult(len(scored), 0, int((scored.status != Status.INVALID).sum()))


class Counting:
    """A reward that records the sequences it is asked to score."""

    def __init__(self, reward: Reward) -> None:
        self.reward, self.asked = reward, []

    def score(
        self,
        sequences: Sequence[str],
        tokens: Sequence[Sequence[str]] | None = None,
        known: Mapping[str, np.ndarray] | None = None,
    ) -> Scores:
        self.asked += sequences
        return self.reward.score(sequences, tokens, known)


def generated(*texts: str) -> Generated:
    encoded = [ENCODING.encode(t)[: ENCODING.max_length] for t in texts]
    tokens, lengths = pad(encoded)
    log_probs = -np.arange(len(texts), dtype=np.float32)
    return Generated.by_one(Episodes(tokens, lengths, log_probs), 7, "actor-1", "policy", 0.1)


def scorer(replay: FakeReplay, **component: object) -> tuple[Scorer, Counting]:
    config = RewardConfig.model_validate({"component": [{"name": "logp"} | component]})
    reward = Counting(build_reward(config))
    return Scorer(identify_here("smiles"), reward, replay, ENCODING), reward


def score(
    one: Scorer, batch: Generated, allowance: int | None = None
) -> tuple[ScoreReport, Scored | None]:
    """All four steps; returns the report and the rows that `Scorer.score` returned."""
    work = one.prepare(batch, allowance)
    one.claim(work)
    scored = one.score(work)
    return one.store(work, scored), scored


def test_rows_have_all_columns_of_their_episode():
    one, _ = scorer(FakeReplay())
    report, scored = score(one, generated("CCO", "C(", "CCN"))
    assert scored is not None
    assert scored.sequences == ["CCO", "C(", "CCN"]
    assert scored.keys == ["CCO", "invalid: C(", "CCN"]
    assert scored.errors == ["", "SMILES syntax error at character 2", ""]
    assert scored.status.tolist() == [Status.OK, Status.INVALID, Status.OK]
    assert scored.log_probs.tolist() == [0.0, -1.0, -2.0]
    assert set(scored.versions) == {7} and set(scored.actors) == {"actor-1"}
    assert scored.raw["logp"][0] == scored.rewards[0] and np.isnan(scored.raw["logp"][1])
    assert (report.rows, report.valid, report.failed) == (3, 2, 0)
    assert report.policy == PolicySamples(rows=3, valid=2, repeated=0)
    # this reward has no default for invalid sequences
    assert np.isnan(scored.rewards[1]) and (report.rewarded, report.unpriced) == (2, 1)
    assert report.statuses == (2, 1, 0, 0, 0) and sum(report.durations) == 2
    assert report.reward_sum == pytest.approx(np.nansum(scored.rewards))


def test_another_spelling_in_the_batch_is_not_scored_again():
    one, reward = scorer(FakeReplay())
    report, scored = score(one, generated("CCO", "OCC", "CCO", "CCN"))
    assert reward.asked == ["CCO", "CCN"]
    assert scored is not None and scored.keys == ["CCO", "CCN"]
    assert (report.rows, report.repeated, report.valid, report.rewarded) == (4, 2, 4, 4)
    assert report.reward_sum == pytest.approx(3 * scored.rewards[0] + scored.rewards[1])


def test_known_sequences_are_not_scored_again():
    first, _ = scorer(FakeReplay())
    _, before = score(first, generated("CCO"))
    assert before is not None
    one, reward = scorer(FakeReplay(before))
    report, scored = score(one, generated("OCC", "CCC"))
    assert reward.asked == ["CCC"]
    assert scored is not None and scored.keys == ["CCC"]
    assert report.repeated == 1 and report.policy == PolicySamples(2, 2, 1)
    assert sum(report.statuses) == sum(report.durations) == 1  # only the new one
    assert report.reward_sum == pytest.approx(before.rewards[0] + scored.rewards[0])


def test_only_the_policy_counts_as_repeating_itself():
    one, _ = scorer(FakeReplay())
    batch = replace(generated("CCO", "OCC", "CCN", "CCN"), sources=["policy", "x", "x", "policy"])
    report, _ = score(one, batch)
    assert report.repeated == 2 and report.policy == PolicySamples(2, 2, 1)


def test_a_batch_of_known_sequences_has_no_rows():
    first, _ = scorer(FakeReplay())
    _, before = score(first, generated("CCO"))
    one, reward = scorer(FakeReplay(before))
    report, scored = score(one, generated("CCO", "OCC"))
    assert scored is None and reward.asked == []
    assert (report.rows, report.repeated, report.rewarded) == (2, 2, 2)


def test_keys_of_another_scorer_are_waited_for():
    elsewhere, _ = scorer(FakeReplay())
    _, before = score(elsewhere, generated("CCO"))
    assert before is not None
    replay = FakeReplay(busy={"CCO": 2})
    one, reward = scorer(replay)
    work = one.prepare(generated("CCO", "CCC", "OCC"))
    one.claim(work)
    scored = one.score(work)
    assert scored is not None and scored.keys == ["CCC"] and reward.asked == ["CCC"]
    replay.rows, replay.busy = before, {"CCO": 1}  # the other one is done after a while
    report = one.store(work, scored)
    assert reward.asked == ["CCC"]
    assert (report.rows, report.added, report.repeated, report.valid) == (3, 1, 2, 3)
    assert report.reward_sum == pytest.approx(2 * before.rewards[0] + scored.rewards[0])


def test_keys_of_a_dead_scorer_are_scored():
    replay = FakeReplay(busy={"CCO": 2})
    one, reward = scorer(replay)
    report, _ = score(one, generated("CCO", "CCC"))
    assert reward.asked == ["CCC", "CCO"]
    assert (report.added, report.paid, report.valid) == (2, 2, 2)
    assert not replay.held


def test_at_most_allowance_valid_sequences_are_scored():
    replay = FakeReplay()
    one, reward = scorer(replay)
    report, _ = score(one, generated("CCO", "C(", "OCC", "CCN", "CCC", "CCN"), allowance=2)
    assert reward.asked == ["CCO", "C(", "CCN"]
    assert replay.released == ["CCC"] and not replay.held
    assert (report.paid, report.added, report.rows) == (2, 3, 5)
    assert report.policy == PolicySamples(5, 4, 2)


def test_a_sequence_that_lost_scorers_is_not_scored_again():
    replay = FakeReplay()
    replay.losses = {"CCO": MAX_LOSSES, "CCC": MAX_LOSSES - 1}
    one, reward = scorer(replay)
    report, scored = score(one, generated("CCO", "CCC"))
    assert reward.asked == ["CCC"]
    assert scored is not None and scored.keys == ["CCO", "CCC"]
    assert scored.status.tolist() == [Status.CRASHED, Status.OK]
    assert np.isnan(scored.rewards[0]) and "scorers were lost" in scored.errors[0]
    assert report.failed == 1


def test_already_scored_rows_are_returned_unchanged():
    first, _ = scorer(FakeReplay())
    _, before = score(first, generated("CCO"))
    assert before is not None

    class AlreadyScored(FakeReplay):
        def claim(self, keys: Sequence[str]) -> ClaimAnswer:
            at = [i for i, key in enumerate(keys) if key == "CCO"]
            return replace(super().claim(keys), paid=before, already_scored_at=np.array(at))

    one, reward = scorer(AlreadyScored())
    report, scored = score(one, generated("CCC", "OCC", "CCN"))
    assert reward.asked == ["CCC", "CCN"]
    assert scored is not None and scored.keys == ["CCC", "CCO", "CCN"]
    assert scored.scored_at[1] == before.scored_at[0] and scored.rewards[1] == before.rewards[0]
    assert (report.added, report.paid) == (3, 3)
    assert report.policy == PolicySamples(3, 3, 0)  # as if it were scored now


def test_step_rewards_fit_the_tokens():
    one, _ = scorer(FakeReplay(), name="sequence_tutor", prefix_terms=True)
    batch = generated("CCO", CUT, "C(")
    _, scored = score(one, batch)
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
    _, scored = score(one, generated("CCO", CUT))
    assert scored is not None and scored.step_rewards is None
    steps = per_step(scored)
    assert steps.shape == (2, 6)
    assert steps[0, 3] == np.float32(scored.rewards[0])
    assert steps[1, 5] == np.float32(scored.rewards[1])
    assert np.count_nonzero(steps) == 2


MELODIES = ["C4-D4-C#4-E4-D4-.-E4---", "F#4-" * 8, "G4" * 16]


def of_melodies(*components: dict[str, object]) -> Scored:
    """The scored rows of `MELODIES`, which have 16 steps and no end token."""
    encoding = MelodyEncoding.fit([], max_length=16)
    config = RewardConfig.model_validate({"aggregate": "sum", "component": list(components)})
    reward = build_reward(config, "melodies")
    one = Scorer(identify_here("melody"), reward, FakeReplay(), encoding)
    tokens, lengths = pad([encoding.encode(m) for m in MELODIES])
    assert lengths.tolist() == [16] * 3
    episodes = Episodes(tokens, lengths, np.zeros(3, np.float32))
    _, scored = score(one, Generated.by_one(episodes, 0, "actor-1", "policy", 0.1))
    assert scored is not None
    return scored


def test_step_rewards_of_a_fixed_length_episode():
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


def test_rewards_without_steps_are_paid_by_the_last_step():
    squeezed = {"type": "linear", "low": -10, "high": 0}
    scored = of_melodies({"name": "motif"}, {"name": "key", "transform": squeezed, "weight": 5.0})
    assert scored.step_rewards is not None
    assert scored.transformed["key"].tolist() == pytest.approx([0.9, 0.2, 1.0])
    expected = scored.step_raw["motif"].copy()
    expected[:, 15] += 5 * scored.transformed["key"]
    np.testing.assert_allclose(scored.step_rewards, expected, atol=1e-6)
    np.testing.assert_allclose(scored.step_rewards.sum(1), scored.rewards, rtol=1e-5)


def test_a_sequence_that_crashes_identify_is_not_scored():
    replay = FakeReplay()
    one, reward = scorer(replay)
    plain = one.identify

    def harmed(sequences: Sequence[str]) -> list[Identity]:
        lost = Identity(None, "reading it: segmentation fault", Status.INVALID)
        return [lost if s == "CC" else i for s, i in zip(sequences, plain(sequences), strict=True)]

    one.identify = harmed
    report, scored = score(one, generated("CCO", "CC", "CCN"))
    assert reward.asked == ["CCO", "CCN"]
    assert scored is not None and scored.sequences == ["CCO", "CC", "CCN"]
    assert scored.status.tolist() == [Status.OK, Status.INVALID, Status.OK]
    assert scored.errors == ["", "reading it: segmentation fault", ""]
    assert (report.rows, report.valid, report.failed, report.paid) == (3, 2, 0, 2)


def test_the_key_of_an_invalid_text_is_no_molecule():
    domain = domain_of("smiles")
    texts = ["C(", "", "C" * 5000, "C" * 5001, "\ud800", "O=c1c2n([nH]/c1=C\\c1c(Cl)cccc1Cl)CCC2"]
    keys = [invalid_key(text) for text in texts]
    assert len(set(keys)) == len(texts) and keys == [invalid_key(text) for text in texts]
    assert all(domain.key(key) is None and len(key.encode()) < 400 for key in keys)

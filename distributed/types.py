"""The carriers that travel between processes.

Between processes they are NumPy arrays, on record Arrow tables (`arrow_schema`). A row of the
record is one scored sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from sequence_tutor.distributed.reward_spread import RewardSpread
from sequence_tutor.policies.encodings.base import Episodes
from sequence_tutor.rewards.base import Scores, Status

# The source of sequences that the policy generated.
POLICY = "policy"
# Float32 arrays of a network by name.
Weights = dict[str, np.ndarray]


@dataclass(frozen=True)
class Generated:
    """Episodes that an actor has generated and no scorer has seen yet."""

    episodes: Episodes
    """Tokens, lengths and log-probabilities of the B sequences."""
    versions: np.ndarray
    """int32 [B] version of the behaviour policy, in updates; -1 where no policy made it."""
    actors: list[str]
    """Run id of the process that made each, new after each restart."""
    sources: list[str]
    """What made each: "policy" or the name of another proposer."""
    seconds: float
    """Seconds spent generating."""

    @classmethod
    def by_one(
        cls, episodes: Episodes, version: int, actor: str, source: str, seconds: float
    ) -> Generated:
        """Episodes that all come from one process and one version of the policy."""
        n = len(episodes.lengths)
        versions = np.full(n, version, np.int32)
        return cls(episodes, versions, [actor] * n, [source] * n, seconds)

    def __len__(self) -> int:
        return len(self.sources)

    def select(self, rows: Sequence[int] | np.ndarray) -> Generated:
        """The given rows, in that order."""
        at, e = np.asarray(rows, dtype=np.int64), self.episodes
        return Generated(
            Episodes(e.tokens[at], e.lengths[at], e.log_probs[at]),
            self.versions[at],
            [self.actors[i] for i in at.tolist()],
            [self.sources[i] for i in at.tolist()],
            self.seconds,
        )

    def slice(self, first: int, last: int) -> Generated:
        """Rows first to last - 1."""
        return self.select(np.arange(first, min(last, len(self))))


def join_generated(batches: Sequence[Generated]) -> Generated:
    """One batch made of several; raises ValueError where there are none."""
    longest = max(b.episodes.tokens.shape[1] for b in batches)
    tokens = [
        np.pad(b.episodes.tokens, ((0, 0), (0, longest - b.episodes.tokens.shape[1])))
        for b in batches
    ]
    return Generated(
        Episodes(
            np.concatenate(tokens),
            np.concatenate([b.episodes.lengths for b in batches]),
            np.concatenate([b.episodes.log_probs for b in batches]),
        ),
        np.concatenate([b.versions for b in batches]),
        [actor for b in batches for actor in b.actors],
        [source for b in batches for source in b.sources],
        sum(b.seconds for b in batches),
    )


@dataclass(frozen=True)
class Scored:
    """B scored sequences as columns, the content of the replay."""

    tokens: np.ndarray
    """int16 [B,T] actions, zeros after the end."""
    lengths: np.ndarray
    """int32 [B] actions of each sequence."""
    log_probs: np.ndarray
    """float32 [B] log-probability under the behaviour policy, nats."""
    rewards: np.ndarray
    """float64 [B], NaN where there is none."""
    step_rewards: np.ndarray | None
    """float32 [B,T] reward of each action; None where the reward is paid at the end."""
    status: np.ndarray
    """int8 [B] of `Status`."""
    versions: np.ndarray
    """int32 [B] version of the behaviour policy, in updates."""
    scored_at: np.ndarray
    """float64 [B] time of the score, Unix seconds."""
    seconds: np.ndarray
    """float32 [B] seconds spent scoring."""
    sequences: list[str]
    """B sequences as texts."""
    keys: list[str]
    """B keys: canonical forms, or made of the text where the sequence is invalid."""
    errors: list[str]
    """B error texts, empty where all went well."""
    sources: list[str]
    """What made each sequence: "policy", another proposer's name, "warm-start", "report" or
    "file"."""
    actors: list[str]
    """Run id of the actor that made each sequence, empty where none did."""
    raw: dict[str, np.ndarray]
    """float64 [B] values of each component before its transform, NaN where there is none."""
    transformed: dict[str, np.ndarray]
    """float64 [B] values of each component after its transform."""
    step_raw: dict[str, np.ndarray] = field(default_factory=dict)
    """float32 [B,T] raw values by action, for components that judge each action. Only the record
    keeps them; the learner doesn't use them."""
    groups: dict[str, np.ndarray] = field(default_factory=dict)
    """Objects [B], texts or None, by a kind of group: what `[diversity]` counts. Only the record
    keeps them."""

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def scores(self) -> Scores:
        """What became of the sequences, as far as a shard needs it of every key."""
        return Scores(
            self.rewards, self.status, self.errors, self.raw, self.transformed, seconds=self.seconds
        )

    def select(self, rows: Sequence[int] | np.ndarray) -> Scored:
        """The given rows, in that order."""
        changes: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, np.ndarray):
                changes[f.name] = value[np.asarray(rows, dtype=np.int64)]
            elif isinstance(value, list):
                changes[f.name] = [value[i] for i in rows]
            elif isinstance(value, dict):
                index = np.asarray(rows, dtype=np.int64)
                changes[f.name] = {k: v[index] for k, v in value.items()}
        return replace(self, **changes)


@dataclass(frozen=True)
class ActorReport:
    """What the driver sees of a generated batch."""

    worker: int
    """The actor's number."""
    rows: int
    """Episodes in the batch; of another proposer than the policy all that it proposed, known and
    invalid ones included, and at least 1."""
    version: int
    """Version of the weights, in updates."""
    seconds: float
    """Seconds spent generating."""
    kl_to_prior: float
    """Mean KL to the prior, nats per episode; NaN where no policy made them."""
    source: str = POLICY
    """What made them: "policy" or the name of another proposer."""


@dataclass(frozen=True)
class PolicySamples:
    """What became of some sequences that the policy made."""

    rows: int = 0
    """Sequences."""
    valid: int = 0
    """Of these, valid ones, whether their reward fails or not."""
    repeated: int = 0
    """Of these, those that are known, or repeated within their batch."""


@dataclass(frozen=True)
class ScreenReport:
    """What the driver sees of a choice among candidates."""

    bred: dict[str, int]
    """Candidates that the screen itself made, by the name of the proposer they count for."""
    screened_out: dict[str, int]
    """Candidates that don't go to the scorers, by the name of their proposer."""
    candidates: int
    """New valid candidates, that the choice was made from."""
    rows: int
    """Rows that go to the scorers: the chosen and the invalid ones."""
    seconds: float
    """Seconds spent choosing."""
    policy: PolicySamples = PolicySamples()
    """The policy's candidates."""
    lost: int = 0
    """Batches of candidates that were lost with their node."""


# Upper bounds, in seconds, of the buckets that count how long scores take; a last one has the rest.
SCORE_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
DURATIONS = len(SCORE_SECONDS) + 1


@dataclass(frozen=True)
class ScoreReport:
    """What the driver sees of a scored batch."""

    rows: int
    """Rows that have an outcome."""
    valid: int
    """Rows of `Status.OK`."""
    failed: int
    """Rows without a score: neither OK nor INVALID."""
    repeated: int
    """Rows that needed no new score."""
    rewarded: int
    """Rows that have a reward."""
    reward_sum: float
    """Sum of these rewards."""
    seconds: float
    """Seconds spent finding keys and scoring."""
    added: int = 0
    """Rows added to the replay."""
    paid: int = 0
    """Added rows that count against the score budget."""
    error: str = ""
    """The first error, empty where there was none."""
    statuses: tuple[int, ...] = (0,) * len(Status)
    """New scores by the number of their `Status`."""
    durations: tuple[int, ...] = (0,) * DURATIONS
    """New scores, without invalid sequences, by the first of SCORE_SECONDS that they don't exceed;
    the last number counts the longer ones."""
    unpriced: int = 0
    """Invalid rows without a reward of their own."""
    scored_by: dict[str, int] = field(default_factory=dict)
    """New scores, without invalid sequences, by what made the sequence."""
    policy: PolicySamples = PolicySamples()
    """The rows that the policy made."""
    calls_saved: int = 0
    """Calls of components that weren't made, since a filter or penalty of 0 came first or the value
    was paid for in an earlier run."""
    new_rewards: RewardSpread = RewardSpread()
    """The rewards of new scores of `Status.OK`."""


@dataclass(frozen=True)
class RoundReport:
    """What a synchronous round has made."""

    generated: list[ActorReport]
    """One for each process that proposed, in a fixed order."""
    scored: list[ScoreReport]
    """One for each batch that was scored."""
    screened: list[ScreenReport] = field(default_factory=list)
    """The screen's report; empty where there is no screen."""


@dataclass(frozen=True)
class LearnerReport:
    """What the driver sees of some updates."""

    updates: int
    """Updates made."""
    total_updates: int
    """Updates since the start of the run."""
    rows: int
    """Rows consumed."""
    lost: int
    """Batches that were lost on the way to the learner."""
    loss: float
    """Mean loss."""
    residual: float
    """Mean size of the residual, nats."""
    start_value: float
    """Value of the start state after the last update, nats."""
    staleness: float
    """Mean staleness, in updates."""
    fetch_s: float
    """Seconds spent fetching batches."""
    learn_s: float
    """Seconds spent on updates."""
    publish_s: float
    """Seconds spent publishing weights."""


@dataclass(frozen=True)
class TrainingBatch:
    """What an update consumes."""

    tokens: np.ndarray
    """int16 [B,T] actions, zeros after the end."""
    lengths: np.ndarray
    """int32 [B] actions of each sequence."""
    rewards: np.ndarray
    """float32 [B,T] reward of each action; a terminal reward is at the last action."""
    versions: np.ndarray
    """int32 [B] version of the behaviour policy, in updates."""


def per_step(scored: Scored) -> np.ndarray:
    """float32 [B,T] rewards per step: `step_rewards` where there are such, else the terminal reward
    at the last action. Rows without a reward or without actions are all zero."""
    if scored.step_rewards is not None:
        return scored.step_rewards
    steps = np.zeros(scored.tokens.shape, dtype=np.float32)
    rows = np.flatnonzero(np.isfinite(scored.rewards) & (scored.lengths > 0))
    steps[rows, scored.lengths[rows] - 1] = scored.rewards[rows]
    return steps


def concatenate(batches: Sequence[Scored]) -> Scored:
    """One batch made of several. A component that a batch lacks (all its rows failed) is NaN there.
    Where only some batches have per-step rewards, the terminal rewards of the others are put at the
    last action.

    Raises ValueError where there are no batches.
    """
    longest = max(b.tokens.shape[1] for b in batches)
    columns: dict[str, object] = {}
    for f in fields(Scored):
        values = [getattr(b, f.name) for b in batches]
        if f.name == "step_rewards" and any(v is not None for v in values):
            values = [per_step(b) for b in batches]
        if f.name in ("tokens", "step_rewards") and values[0] is not None:
            columns[f.name] = np.concatenate(
                [np.pad(v, ((0, 0), (0, longest - v.shape[1]))) for v in values]
            )
        elif isinstance(values[0], np.ndarray):
            columns[f.name] = np.concatenate(values)
        elif isinstance(values[0], list):
            columns[f.name] = [x for v in values for x in v]
        elif isinstance(values[0], dict):
            names = dict.fromkeys(k for v in values for k in v)
            joined = _joined_groups if f.name == "groups" else _joined
            columns[f.name] = {k: joined([v.get(k) for v in values], batches) for k in names}
        else:
            columns[f.name] = None
    return Scored(**columns)  # type: ignore[arg-type]


def _joined(values: Sequence[np.ndarray | None], batches: Sequence[Scored]) -> np.ndarray:
    """A component of all batches, [B] or [B,T]; NaN for batches that lack it or are narrower."""
    by_action = any(v is not None and v.ndim == 2 for v in values)
    width = max(b.tokens.shape[1] for b in batches) if by_action else 0
    parts = []
    for value, batch in zip(values, batches, strict=True):
        if value is None:
            value = np.full((len(batch), width) if width else len(batch), np.nan)
        if width:
            gap = ((0, 0), (0, width - value.shape[1]))
            value = np.pad(value.astype(np.float32), gap, constant_values=np.nan)
        parts.append(value)
    return np.concatenate(parts)


def _joined_groups(values: Sequence[np.ndarray | None], batches: Sequence[Scored]) -> np.ndarray:
    """A kind of group of all batches, objects [B]; None for batches that lack it."""
    pairs = zip(values, batches, strict=True)
    return np.concatenate([np.full(len(b), None) if v is None else v for v, b in pairs])

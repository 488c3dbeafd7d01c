"""Scorers: judge the sequences of a batch and hand them to the replay."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
import ray

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.replay.sharded import ShardedReplay
from sequence_tutor.distributed.types import Generated, Scored, ScoreReport
from sequence_tutor.distributed.weights import encoding_of, fetch_prior, shard_name
from sequence_tutor.policies.encoding import Encoding, action_texts
from sequence_tutor.rewards.base import Domain, Reward, Scores, Status
from sequence_tutor.rewards.build import build_reward
from sequence_tutor.rewards.domains import domain_of


class Scorer:
    """Turns generated episodes into rows of the record.

    A sequence whose key the replay knows already is not scored again.
    """

    def __init__(
        self, encoding: Encoding, domain: Domain, reward: Reward, replay: ShardedReplay
    ) -> None:
        self.encoding, self.domain, self.reward, self.replay = encoding, domain, reward, replay

    def score(self, batch: Generated) -> tuple[ScoreReport, Scored | None]:
        """Judge a batch; returns the report and the rows that are new, None where none is."""
        started = time.perf_counter()
        episodes = batch.episodes
        texts = [
            self.encoding.decode(t[:n])
            for t, n in zip(episodes.tokens, episodes.lengths, strict=True)
        ]
        # An invalid sequence has no canonical form; it stands for itself.
        keys = [self.domain.key(text) or text for text in texts]
        known = self.replay.known(keys)
        rewards = np.full(len(keys), np.nan)
        status = np.full(len(keys), Status.FAILED, dtype=np.int8)
        if known.rows is not None:
            rewards[known.found] = known.rows.rewards
            status[known.found] = known.rows.status
        fresh = _first_of_each(keys, known.found)
        scored = None
        if len(fresh):
            scores = self.reward.score(
                [texts[i] for i in fresh],
                [
                    action_texts(self.encoding, episodes.tokens[i], episodes.lengths[i])
                    for i in fresh
                ],
            )
            seconds = time.perf_counter() - started
            scored = _rows(batch, fresh, texts, keys, scores, seconds / len(fresh))
            at = dict(zip((keys[i] for i in fresh), range(len(fresh)), strict=True))
            for i in np.flatnonzero(~known.found):
                rewards[i] = scores.rewards[at[keys[i]]]
                status[i] = scores.status[at[keys[i]]]
        rewarded = ~np.isnan(rewards)
        report = ScoreReport(
            rows=len(keys),
            valid=int((status == Status.OK).sum()),
            failed=int((status > Status.INVALID).sum()),
            repeated=len(keys) - len(fresh),
            rewarded=int(rewarded.sum()),
            reward_sum=float(rewards[rewarded].sum()),
            seconds=time.perf_counter() - started,
        )
        return report, scored


def _first_of_each(keys: list[str], known: np.ndarray) -> list[int]:
    """Rows whose key is neither known nor seen earlier in the batch."""
    first: dict[str, int] = {}
    for i, key in enumerate(keys):
        if not known[i]:
            first.setdefault(key, i)
    return list(first.values())


def _rows(
    batch: Generated,
    rows: list[int],
    texts: list[str],
    keys: list[str],
    scores: Scores,
    seconds_each: float,
) -> Scored:
    n, episodes = len(rows), batch.episodes
    width = episodes.tokens.shape[1]
    steps = scores.step_rewards
    if steps is not None:
        # an episode cut at the length limit has no end token to carry the terminal reward
        beyond = steps[:, width:].sum(1)
        steps = _as_wide(steps, width, 0.0)
        steps[:, width - 1] += beyond
    return Scored(
        tokens=episodes.tokens[rows],
        lengths=episodes.lengths[rows],
        log_probs=episodes.log_probs[rows],
        rewards=scores.rewards,
        step_rewards=steps,
        status=scores.status,
        versions=np.full(n, batch.version, dtype=np.int32),
        scored_at=np.full(n, time.time()),
        seconds=np.full(n, seconds_each, dtype=np.float32),
        sequences=[texts[i] for i in rows],
        keys=[keys[i] for i in rows],
        errors=scores.errors,
        sources=[batch.source] * n,
        actors=[batch.actor] * n,
        raw=scores.raw,
        transformed=scores.transformed,
        step_raw={k: _as_wide(v, width, np.nan) for k, v in scores.step_raw.items()},
    )


def _as_wide(values: np.ndarray, width: int, empty: float) -> np.ndarray:
    """[B,T] -> a copy [B,width], cut or filled."""
    out = np.full((len(values), width), empty, dtype=values.dtype)
    kept = min(width, values.shape[1])
    out[:, :kept] = values[:, :kept]
    return out


class ScorerProcess:
    """A scorer as a Ray actor: arguments arrive by reference, rows go straight to the shards.

    `directory` is where the user started the run: modules of their own rewards are found there.
    """

    def __init__(self, run: RunConfig, run_id: str, directory: str) -> None:
        sys.path.append(directory)
        encoding = encoding_of(fetch_prior(run_id))
        reward = build_reward(run.reward, domain_of(run.encoding).name)
        names = [f"{shard_name(run_id)}-{i}" for i in range(run.replay.shards)]
        self.replay = ShardedReplay([ray.get_actor(name) for name in names])
        self.scorer = Scorer(encoding, domain_of(run.encoding), reward, self.replay)

    def score_and_store(self, batch: Generated) -> ScoreReport:
        """Asynchronous mode: score, store, report."""
        report, scored = self.scorer.score(batch)
        return report if scored is None else self.store(scored, report)

    def score(self, batch: Generated) -> tuple[ScoreReport, list[Any]]:
        """Synchronous mode: score only; the driver has the rows stored in a fixed order."""
        report, scored = self.scorer.score(batch)
        return report, [ray.put(scored)] if scored is not None else []

    def store(self, scored: Scored, report: ScoreReport) -> ScoreReport:
        """Store rows that `score` returned; the report with what the replay said."""
        result = self.replay.add(scored)
        return replace(report, added=result.added, new_valid=result.new_valid)

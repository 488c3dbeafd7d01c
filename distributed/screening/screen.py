"""The screen: of the sequences proposed, the most promising go on to the reward.

    batches of all proposers -> keys -> those not on record -> predictions -> choice -> one batch

It has no memory but caches: its choice is a function of the candidates, of the record's best and
newest rows, and of the seed. So it survives a restart, and synchronous runs are repeatable.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from zlib import crc32

import numpy as np

from sequence_tutor.distributed.generating.genetic import GENETIC, children
from sequence_tutor.distributed.generating.proposals import encoded, episodes_of
from sequence_tutor.distributed.replay.client import ReplayClient
from sequence_tutor.distributed.replay.messages import RecordView
from sequence_tutor.distributed.replay.sampler import equal_parts, round_at_random
from sequence_tutor.distributed.screening.choice import choose_batch, shortlist
from sequence_tutor.distributed.screening.surrogate import (
    GaussianProcess,
    Prediction,
    join_predictions,
)
from sequence_tutor.distributed.search_config import GeneticConfig, ScreenConfig
from sequence_tutor.distributed.types import (
    POLICY,
    Generated,
    PolicySamples,
    ScreenReport,
    join_generated,
)
from sequence_tutor.policies.encodings.base import Encoding
from sequence_tutor.rewards.base import Domain

# Of the candidates, the part that has children; and the share of children whose parents are among
# these, the parents of the others being the record's best rows.
PARENTS, FROM_CANDIDATES = 1 / 8, 0.7
# Deviations above the mean by which candidates are ranked as parents.
HOPE = 1.0
# Keys that are remembered as chosen until they are on record.
SENT = 10_000


class Screen:
    """Chooses batches. genetic: settings of further generations, None for none; seed: the run's."""

    def __init__(
        self,
        config: ScreenConfig,
        genetic: GeneticConfig | None,
        domain: Domain,
        encoding: Encoding,
        replay: ReplayClient,
        seed: int,
    ) -> None:
        self._config, self._genetic = config, genetic
        self._domain, self._encoding, self._replay = domain, encoding, replay
        self._seeds = [seed, crc32(b"screen")]
        self._surrogate = GaussianProcess()
        self._features: dict[str, list[np.ndarray]] = {}
        self._sent: dict[str, None] = {}  # keys chosen lately, which may not be on record yet

    def choose(
        self, batches: Sequence[Generated], entropy: Sequence[int], process_id: str
    ) -> tuple[ScreenReport, Generated]:
        """Of all candidates about `screen.batch` new ones, and the invalid ones, which cost no
        score and teach the policy. entropy: numbers that seed the choice, with the run's seed;
        process_id: id of the process since its last start."""
        started = time.perf_counter()
        random = np.random.default_rng([*self._seeds, *entropy])
        candidates = join_generated(batches)
        bred = 0
        with self._domain.quiet():
            invalid, keys, pool = self._new(candidates)
            policy = _policy_samples(candidates, invalid, pool)
            view = self._replay.view(self._config.best, self._config.newest)
            if len(view) < self._config.start or not keys:
                rows = np.arange(len(keys))
            else:
                self._learn(view)
                prediction = self._predict(keys)
                for _ in range(self._config.generations if self._genetic else 0):
                    made = self._children(keys, prediction, view, random)
                    if made:
                        bred += len(made)
                        keys += made
                        actions = encoded(self._encoding, made).values()
                        born = Generated.by_one(episodes_of(actions), -1, process_id, GENETIC, 0.0)
                        pool = join_generated([pool, born])
                        prediction = join_predictions([prediction, self._predict(made)])
                rows = self._pick(prediction, random)
        self._remember([keys[i] for i in rows.tolist()])
        chosen = join_generated([pool.select(rows), invalid])
        left = Counter(candidates.sources) + Counter({GENETIC: bred})
        report = ScreenReport(
            bred={GENETIC: bred} if bred else {},
            screened_out=dict(left - Counter(chosen.sources)),
            candidates=len(keys),
            rows=len(chosen),
            seconds=time.perf_counter() - started,
            policy=policy,
        )
        return report, chosen

    def _new(self, candidates: Generated) -> tuple[Generated, list[str], Generated]:
        """The invalid candidates; the keys of those that aren't on record; and these."""
        texts = [
            self._encoding.decode(tokens[:length])
            for tokens, length in zip(
                candidates.episodes.tokens, candidates.episodes.lengths, strict=True
            )
        ]
        place: dict[str, int] = {}
        invalid = []
        for i, text in enumerate(texts):
            key = self._domain.key(text)
            if key is None:
                invalid.append(i)
            elif key not in self._sent:
                place.setdefault(key, i)
        keys = self._unknown(list(place))
        return candidates.select(invalid), keys, candidates.select([place[key] for key in keys])

    def _unknown(self, keys: list[str]) -> list[str]:
        known = self._replay.known(keys).tolist()
        return [key for key, old in zip(keys, known, strict=True) if not old]

    def _learn(self, view: RecordView) -> None:
        new = [key for key in view.keys if key not in self._features]
        blocks = self._domain.features(new) if new else []
        made = {key: [block[i] for block in blocks] for i, key in enumerate(new)}
        self._features = {
            key: self._features[key] if key in self._features else made[key] for key in view.keys
        }
        rows = zip(*self._features.values(), strict=True)
        self._surrogate.fit(view.keys, [np.stack(row) for row in rows], view.rewards[:, None])

    def _predict(self, keys: list[str]) -> Prediction:
        return self._surrogate.predict(self._domain.features(keys))

    def _children(
        self, keys: list[str], prediction: Prediction, view: RecordView, random: np.random.Generator
    ) -> list[str]:
        """New children of the most promising candidates and of the record's best rows."""
        assert self._genetic is not None
        hope = prediction.means[:, 0] + HOPE * prediction.deviations[:, 0]
        promising = np.argsort(-hope, kind="stable")[: max(2, round(len(keys) * PARENTS))]
        best = view.sequences[: min(view.best, self._genetic.parents)]
        weights = 1.0 / (self._genetic.rank_k * len(best) + np.arange(len(best)))
        weights *= (1 - FROM_CANDIDATES) / weights.sum()
        shares = np.full(len(promising), FROM_CANDIDATES / len(promising))
        made = children(
            [*(keys[i] for i in promising.tolist()), *best],
            np.concatenate([shares, weights]),
            self._config.children,
            {*keys, *view.keys, *self._sent},
            self._genetic,
            self._domain,
            random,
        )
        return self._unknown(list(encoded(self._encoding, made)))

    def _pick(self, prediction: Prediction, random: np.random.Generator) -> np.ndarray:
        """Rows of the chosen candidates, int64, increasing."""
        means, deviations = prediction.means[:, 0], prediction.deviations[:, 0]
        n = min(self._config.batch, len(means))
        at_random = round_at_random(n * self._config.random, random)
        rows = shortlist(means, deviations, n)
        picked = rows[
            choose_batch(
                means[rows],
                self._surrogate.covariance(prediction, rows),
                self._surrogate.noise_variance,
                n - at_random,
                self._config.explore,
                random,
            )
        ]
        others = np.setdiff1d(np.arange(len(means)), picked)
        drawn = random.choice(others, min(at_random, len(others)), replace=False)
        return np.sort(np.concatenate([picked, drawn]))

    def _remember(self, keys: list[str]) -> None:
        self._sent.update(dict.fromkeys(keys))
        for key in list(self._sent)[: max(0, len(self._sent) - SENT)]:
            del self._sent[key]


def _policy_samples(candidates: Generated, invalid: Generated, new: Generated) -> PolicySamples:
    """The policy's part of the candidates. Invalid ones don't count as repeated."""
    rows, bad, fresh = (batch.sources.count(POLICY) for batch in (candidates, invalid, new))
    return PolicySamples(rows, valid=rows - bad, repeated=rows - bad - fresh)


def equal_slices(batch: Generated, parts: int) -> list[Generated]:
    """A batch in up to `parts` batches of about equal size, none of them empty."""
    sizes = [size for size in equal_parts(len(batch), parts) if size]
    ends = np.cumsum(sizes).tolist()
    return [batch.slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]

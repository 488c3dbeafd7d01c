"""The screen: of the sequences proposed, the most promising go on to the reward.

    batches of all proposers -> keys -> those not on record -> predictions -> choice -> one batch

It has no memory but caches: its choice is a function of the candidates, of the record's best and
newest rows, and of the seed. So it survives a restart, and synchronous runs are repeatable.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from zlib import crc32

import numpy as np

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.generating.genetic import GENETIC, children
from sequence_tutor.distributed.generating.proposals import encoded, episodes_of
from sequence_tutor.distributed.population import is_policy
from sequence_tutor.distributed.replay.client import ReplayClient
from sequence_tutor.distributed.replay.messages import RecordView
from sequence_tutor.distributed.replay.sampler import equal_parts, rank_weights, round_at_random
from sequence_tutor.distributed.screening.choice import choose_batch, shortlist
from sequence_tutor.distributed.screening.plausible import Plausibility
from sequence_tutor.distributed.screening.pool import Pool, join_pools
from sequence_tutor.distributed.screening.surrogate import GaussianProcess, Prediction
from sequence_tutor.distributed.search_config import GeneticConfig, ScreenConfig
from sequence_tutor.distributed.types import (
    Generated,
    PolicySamples,
    ScreenReport,
    join_generated,
)
from sequence_tutor.policies.prior import Prior
from sequence_tutor.rewards.base import Domain
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.compiled_reward import Objective
from sequence_tutor.rewards.pareto import dominated_by, rank_rewards
from sequence_tutor.rewards.place import Place

# Of the candidates, the part that has children; and the share of children whose parents are among
# these, the parents of the others being the record's best rows.
PARENTS, FROM_CANDIDATES = 1 / 8, 0.7
# Deviations above the mean by which candidates are ranked as parents.
HOPE = 1.0
# Candidates that are judged at once, and practical ones that are looked for, as a multiple of the
# batch: judging takes about 3 ms a molecule.
JUDGED_AT_ONCE, NEEDED = 128, 2
# Candidates that are plausible at this many deviations below their predicted NLL are judged first.
DOUBT = 1.0
# Best rows on record that may be parents of practical candidates.
PARENTS_JUDGED = 256
# Keys that are remembered as chosen until they are on record.
SENT = 10_000


class Screen:
    """Chooses batches.

    genetic: settings of further generations, None for none; objective: computes rewards from the
    components that are predicted, None to predict the reward itself; seed: the run's; remembers:
    whether it leaves out what it has chosen lately, which may not be on record yet. In synchronous
    mode all of it is, or the run went back to a checkpoint.
    """

    def __init__(
        self,
        config: ScreenConfig,
        genetic: GeneticConfig | None,
        domain: Domain,
        prior: Prior,
        replay: ReplayClient,
        objective: Objective | None,
        seed: int,
        remembers: bool = True,
    ) -> None:
        self._config, self._genetic, self._remembers = config, genetic, remembers
        self._domain, self._encoding, self._replay = domain, prior.encoding, replay
        self._objective = objective
        self._plausibility = None
        if config.plausible is not None:
            self._plausibility = Plausibility(prior, domain, config.plausible, seed)
        self._nll: dict[str, float] = {}  # nats, of the rows learned from, with `plausible`
        self._seeds = [seed, crc32(b"screen")]
        self._surrogate = GaussianProcess()
        self._by_parts = False  # whether the components are predicted
        self._lowers = False  # whether what [diversity] leaves of the reward is predicted with them
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
            invalid, keys, new = self._new(candidates)
            judged, policy = len(keys), _policy_samples(candidates, invalid, new)
            view = self._replay.view(self._config.best, self._config.newest)
            missing = self._config.start - len(view)
            if missing > 0:  # too little to learn from
                most = min(len(keys), max(self._config.batch, missing))
                drawn = np.sort(random.choice(len(keys), most, replace=False))
                keys, new = [keys[i] for i in drawn.tolist()], new.select(drawn)
            elif keys:
                self._learn(view)
                pool = Pool(keys, new, self._predict(keys))
                picked: list[Pool] = []
                for n, practical in self._parts():
                    part, made = self._bred(pool, view, n, practical, process_id, random)
                    bred += made
                    part = part.without({key for one in picked for key in one.keys})
                    picked.append(self._pick(part, n, random))
                pool = join_pools(picked)
                keys, new = pool.keys, pool.rows
        self._remember(keys)
        chosen = join_generated([new, invalid])
        left = Counter(candidates.sources) + Counter({GENETIC: bred})
        report = ScreenReport(
            bred={GENETIC: bred} if bred else {},
            screened_out=dict(left - Counter(chosen.sources)),
            candidates=judged + bred,
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

    def _parts(self) -> list[tuple[int, bool]]:
        """How many sequences are chosen from the practical candidates, and how many from all."""
        if not self._config.filters and self._plausibility is None:
            return [(self._config.batch, False)]
        practical = round(self._config.batch * self._config.practical_share)
        sizes = [(practical, True), (self._config.batch - practical, False)]
        return [(n, judged) for n, judged in sizes if n]

    def _bred(
        self,
        pool: Pool,
        view: RecordView,
        n: int,
        practical: bool,
        process_id: str,
        random: np.random.Generator,
    ) -> tuple[Pool, int]:
        """The candidates that n sequences are chosen from, with their children, and the number of
        these. practical: whether only practical ones count."""
        bred = 0
        pool = self._practical(pool, n) if practical else pool
        for _ in range(self._config.generations if self._genetic else 0):
            wanted = round(self._config.children * n / self._config.batch)
            made = self._children(pool, view, wanted, practical, random)
            if made:
                bred += len(made)
                young, episodes = list(made), episodes_of(made.values())
                born = Generated.by_one(episodes, -1, process_id, GENETIC, 0.0)
                children_pool = Pool(young, born, self._predict(young))
                if practical:
                    children_pool = self._practical(children_pool, n)
                pool = join_pools([pool, children_pool])
        return pool, bred

    def _practical(self, pool: Pool, n: int) -> Pool:
        """The most promising candidates that people would make, as far as the config asks for that,
        each in its most plausible variant: at least NEEDED for each of n sequences to be chosen, or
        all where there are fewer."""
        found: list[Pool] = []
        order = np.lexsort((-pool.hope(HOPE), self._unlikely(pool.prediction)))
        at_once = min(JUDGED_AT_ONCE, 4 * NEEDED * n)
        for first in range(0, len(order), at_once):
            part = pool.select(order[first : first + at_once])
            if self._config.filters:
                passing = [self._domain.practical(key) for key in part.keys]
                part = part.select(np.flatnonzero(passing))
            found.append(self._plausible(part))
            if sum(map(len, found)) >= NEEDED * n:
                break
        practical = join_pools(found)
        distinct = {key: i for i, key in reversed(list(enumerate(practical.keys)))}
        return practical.select(np.array(sorted(distinct.values()), np.int64))

    def _unlikely(self, prediction: Prediction) -> np.ndarray:
        """Whether a candidate is hardly plausible, as far as predictions tell: bool [M]."""
        if self._plausibility is None:
            return np.zeros(len(prediction.means), bool)
        least = prediction.means[:, -1] - DOUBT * prediction.deviations[:, -1]
        unlikely: np.ndarray = least > self._plausibility.limit
        return unlikely

    def _plausible(self, pool: Pool) -> Pool:
        """The plausible candidates, each in its most plausible variant, unless that is known."""
        if self._plausibility is None or not len(pool):
            return pool
        texts, nll = self._plausibility.judge(pool.keys)
        new = set(self._unknown(texts))
        own = [text in new or text == key for text, key in zip(texts, pool.keys, strict=True)]
        fine = np.flatnonzero((nll <= self._plausibility.limit) & np.array(own))
        return pool.select(fine).respelled([texts[i] for i in fine.tolist()], self._encoding)

    def _learn(self, view: RecordView) -> None:
        if self._plausibility is not None:
            self._nll = self._plausibility.of_rows(view.keys)
        parts = np.zeros((len(view), 0))
        if self._objective is not None:
            none = np.full(len(view), np.nan)
            parts = np.stack([view.parts.get(key, none) for key in self._objective.keys], axis=1)
        # rows of a warm start have a reward alone
        complete = np.flatnonzero(np.isfinite(parts).all(1))
        self._by_parts = self._objective is not None and len(complete) >= self._config.start
        if self._by_parts:
            view, parts = view.select(complete, 0), parts[complete]
        new = [key for key in view.keys if key not in self._features]
        blocks = self._domain.features(new) if new else []
        made = {key: [block[i] for block in blocks] for i, key in enumerate(new)}
        self._features = {
            key: self._features[key] if key in self._features else made[key] for key in view.keys
        }
        rows = zip(*self._features.values(), strict=True)
        targets = view.rewards[:, None]
        if self._by_parts:
            self._limits, self._known = (parts.min(0), parts.max(0)), parts
            factors = [f[:, None] for f in (view.factors,) if f is not None and (f < 1).any()]
            self._lowers = bool(factors)
            targets = np.concatenate([targets, *factors, parts], axis=1)
        if self._plausibility is not None:
            nll = np.array([[self._nll[key]] for key in view.keys])
            targets = np.concatenate([targets, nll], axis=1)
        self._surrogate.fit(view.keys, [np.stack(row) for row in rows], targets)

    def _predict(self, keys: list[str]) -> Prediction:
        prediction = self._surrogate.predict(self._domain.features(keys))
        if self._objective is None or not self._by_parts:
            return prediction
        means = prediction.means.copy()
        # beyond what was seen an aggregate may not be defined
        first = 1 + self._lowers
        parts = means[:, first : first + len(self._objective.keys)]
        means[:, 0] = self._worth_of(self._objective, np.clip(parts, *self._limits))
        if self._lowers:
            means[:, 0] *= np.clip(means[:, 1], 0.0, 1.0)
        return replace(prediction, means=means)

    def _worth_of(self, objective: Objective, parts: np.ndarray) -> np.ndarray:
        """What candidates with these components would be worth beside the rows that were learned
        from: float64 [M,K] -> [M]."""
        if objective.aggregate.name != "pareto":
            return objective.combined(parts)
        apart = objective.aggregate.apart
        return rank_rewards(dominated_by(apart(parts), apart(self._known)))

    def _plausible_rows(self, view: RecordView) -> list[str]:
        """Of the record's PARENTS_JUDGED best rows those that are plausible."""
        assert self._plausibility is not None
        keys = view.keys[: min(view.best, PARENTS_JUDGED)]
        limit = self._plausibility.limit
        return [view.sequences[i] for i, key in enumerate(keys) if self._nll[key] <= limit]

    def _children(
        self,
        pool: Pool,
        view: RecordView,
        wanted: int,
        practical: bool,
        random: np.random.Generator,
    ) -> dict[str, np.ndarray]:
        """Up to `wanted` new children of the most promising candidates and of the record's best
        rows, of the plausible ones where `practical`: int16 [T] actions by key."""
        assert self._genetic is not None
        most = max(2, round(len(pool) * PARENTS))
        promising = np.argsort(-pool.hope(HOPE), kind="stable")[:most]
        best = view.sequences[: min(view.best, self._genetic.parents)]
        if practical and self._plausibility is not None and self._config.practical_share < 1:
            best = self._plausible_rows(view) or best
        weights = rank_weights(len(best), self._genetic.rank_k)
        weights *= (1 - FROM_CANDIDATES) / weights.sum()
        shares = np.full(len(promising), FROM_CANDIDATES / max(1, len(promising)))
        made = children(
            [*(pool.keys[i] for i in promising.tolist()), *best],
            np.concatenate([shares, weights]),
            wanted,
            {*pool.keys, *view.keys, *self._sent},
            self._genetic,
            self._domain,
            random,
        )
        actions = encoded(self._encoding, made)
        return {key: actions[key] for key in self._unknown(list(actions))}

    def _pick(self, pool: Pool, n: int, random: np.random.Generator) -> Pool:
        """Up to n chosen candidates, in the order of the pool."""
        means, deviations = pool.prediction.means[:, 0], pool.prediction.deviations[:, 0]
        unlike = self._unlike_known(pool.prediction)
        n = min(n, len(unlike))
        at_random = round_at_random(n * self._config.random, random)
        rows = unlike[shortlist(means[unlike], deviations[unlike], n)]
        picked = rows[
            choose_batch(
                means[rows],
                self._surrogate.covariance(pool.prediction, rows),
                self._surrogate.noise_variance,
                n - at_random,
                self._config.explore,
                random,
            )
        ]
        others = np.setdiff1d(unlike, picked)
        drawn = random.choice(others, min(at_random, len(others)), replace=False)
        return pool.select(np.sort(np.concatenate([picked, drawn])))

    def _unlike_known(self, prediction: Prediction) -> np.ndarray:
        """Rows of candidates whose features no row learned from has, and each features once, int64:
        look-alikes, such as stereoisomers, would be predicted to be as good as what they look like.
        All rows where all are look-alikes."""
        seen = set(map(_look, self._features.values()))
        kept = []
        for i, blocks in enumerate(zip(*prediction.blocks, strict=True)):
            look = _look(blocks)
            if look not in seen:
                seen.add(look)
                kept.append(i)
        return np.array(kept or range(len(prediction.means)), np.int64)

    def _remember(self, keys: list[str]) -> None:
        if not self._remembers:
            return
        self._sent.update(dict.fromkeys(keys))
        for key in list(self._sent)[: max(0, len(self._sent) - SENT)]:
            del self._sent[key]


def _look(blocks: Sequence[np.ndarray]) -> bytes:
    """The features of a sequence, uint8 [F] each, as one text of bytes."""
    return b"".join(block.tobytes() for block in blocks)


def build_screen(
    run: RunConfig, prior: Prior, replay: ReplayClient, directory: str
) -> Screen | None:
    """The screen of a run, None without [screen]. Raises ValueError where the reward can't be
    built, which `learns = "components"` needs. directory: where the user started the run."""
    config, domain = run.screen, run.domain
    if config is None:
        return None
    objective = None
    if config.learns == "components":
        objective = build_reward(run.reward, domain.name, Place((directory,)))
    remembers = run.mode == "asynchronous"
    return Screen(
        config, run.proposers.genetic, domain, prior, replay, objective, run.seed, remembers
    )


def _policy_samples(candidates: Generated, invalid: Generated, new: Generated) -> PolicySamples:
    """The policy's part of the candidates. Invalid ones don't count as repeated."""
    rows, bad, fresh = (sum(map(is_policy, part.sources)) for part in (candidates, invalid, new))
    return PolicySamples(rows, valid=rows - bad, repeated=rows - bad - fresh)


def equal_slices(batch: Generated, parts: int) -> list[Generated]:
    """A batch in up to `parts` batches of about equal size, none of them empty."""
    sizes = [size for size in equal_parts(len(batch), parts) if size]
    ends = np.cumsum(sizes).tolist()
    return [batch.slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]

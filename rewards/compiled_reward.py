"""Scoring with a compiled configuration.

Each sequence is parsed once. Where a component fails on a sequence, only that sequence fails: its
status is FAILED and its reward NaN, never 0, which would teach the policy to avoid it.

Filters come first, the cheapest of them at first, then penalties, then the others. A sequence whose
reward is 0 for a filter or a penalty doesn't reach the components after it: their raw values are
NaN, and its status is OK.

A component that judges by the step is paid at each step where the aggregate is linear and it has no
transform; otherwise its sum is one value of the whole sequence, like any other component's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sequence_tutor.rewards.aggregate import LINEAR, OF_0_TO_1, Aggregate, Values
from sequence_tutor.rewards.attachments import COLLECTOR, Attachment
from sequence_tutor.rewards.base import Domain, Identity, Scores, Status, unpriced
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.part import Part, call_rank
from sequence_tutor.rewards.registry import Component
from sequence_tutor.rewards.returned import number_of, numbers_per_action

# plain integers, since comparing an array with a member of an enumeration takes five times as long
_OK, _INVALID = int(Status.OK), int(Status.INVALID)


def _is_table(judged: Any, actions: list[int]) -> bool:
    """Whether these are finite values [B,T] for B sequences of T actions each, which needn't be
    checked one by one."""
    if not (type(judged) is np.ndarray and judged.dtype == np.float64 and judged.ndim == 2):
        return False
    fits = judged.shape[0] == len(actions) and set(actions) <= {judged.shape[1]}
    return fits and bool(np.isfinite(judged).all())


class Objective:
    """A compiled reward; see `Reward`.

    domain: what its sequences are; sole: the only component, if it is registered
    and has no transform. worth_of_invalid: the reward of invalid sequences, unless `sole` gives
    one; NaN where they get the worst reward of a valid one (see `unpriced`).
    keys: the names of its components, in order; step_keys: of those that judge by the step;
    aggregate: what combines them; pays_steps: whether its scores have `step_rewards`;
    judges_batches: whether a component needs whole batches, or judges by the step while no user's
    function judges single sequences.
    """

    def __init__(
        self,
        config: RewardConfig,
        parts: list[Part],
        domain: Domain,
        sole: Component | None,
        worth_of_invalid: float,
        with_prefixes: bool = False,
    ) -> None:
        self.keys = tuple(p.key for p in parts)
        self.step_keys = tuple(p.key for p in parts if p.steps)
        self._config, self._parts, self._domain, self._sole = config, parts, domain, sole
        self._worth_of_invalid = worth_of_invalid
        multiplies = np.array([p.multiplies for p in parts], bool)
        weights = np.array([p.weight for p in parts])
        self.aggregate = Aggregate(config.aggregate, weights, multiplies)
        self._order = sorted(parts, key=lambda p: call_rank(p.role, p.cost))
        self._prefixes = sole.prefixes if sole is not None and with_prefixes else None
        # component key -> reward per unit, paid at the step that earns it
        self._worth: dict[str, float] = {}
        if config.aggregate in LINEAR and not multiplies.any():
            worth = LINEAR[config.aggregate](weights)
            self._worth = {
                p.key: float(w)
                for p, w in zip(parts, worth, strict=True)
                if p.steps and p.transform is None
            }
        self.pays_steps = self._prefixes is not None or bool(self._worth)
        one_by_one = any(not (p.ours or p.at_once or (p.steps and not p.texts)) for p in parts)
        self.judges_batches = any(p.at_once for p in parts) or (
            bool(self.step_keys) and not one_by_one
        )

    def prepare(self) -> None:
        """Let components load what takes long. Raises ValueError with one sentence where they
        can't."""
        for part in self._parts:
            if part.prepare is not None:
                part.prepare()

    def warm_up(self) -> None:
        """`prepare`, and let this package's other components load their tables, by judging a valid
        sequence. A user's or plug-in's function isn't called."""
        self.prepare()
        sequence = self._domain.example
        with self._domain.quiet():
            # the example needn't be near a lead
            parsed = self._domain.within(None).read(sequence, self._domain.split(sequence))
            for part in self._parts:
                if part.ours and not part.steps and part.prepare is None:
                    part.judge([parsed], [sequence])

    @property
    def order(self) -> tuple[str, ...]:
        """The names of the components in the order in which they are called."""
        return tuple(part.key for part in self._order)

    def combined(self, values: Values) -> Values:
        """The rewards of valid sequences from the transformed values of their components, in the
        order of `keys`: float64 [B,K] -> [B]."""
        return self.aggregate(values)

    def identify(self, sequence: str) -> Identity:
        """The identity of a sequence, or of its standard form; no component is called."""
        return self._domain.identify(self._standardized(sequence))

    def score(
        self,
        sequences: Sequence[str],
        tokens: Sequence[Sequence[str]] | None = None,
        known: Mapping[str, Values | Sequence[float]] | None = None,
    ) -> Scores:
        """Score B sequences; `tokens` are without the end token, and are split here if None. known:
        raw values by component, see `Reward`.

        Raises ValueError only where `tokens` isn't one entry per sequence, and MemoryError, since
        the process, not the sequence, may be the cause.
        """
        if tokens is not None and len(tokens) != len(sequences):
            raise ValueError(f"{len(sequences)} sequences came with {len(tokens)} token lists")
        with self._domain.quiet():
            return self._score(list(sequences), tokens, known or {})

    def _score(
        self,
        sequences: list[str],
        tokens: Sequence[Sequence[str]] | None,
        known: Mapping[str, Values | Sequence[float]],
    ) -> Scores:
        if self._config.standardize:
            # tokens are of the text as it was written
            sequences, tokens = list(map(self._standardized, sequences)), None
        if tokens is None:
            tokens = [self._domain.split(s) for s in sequences]
        size = len(sequences)
        scores = Scores(np.full(size, np.nan), np.full(size, _OK, np.int8), [""] * size)
        parsed, rows = self._read(sequences, tokens, scores)
        thing_at = dict(zip(rows, parsed, strict=True))
        COLLECTOR.kept.clear()  # of a call that was interrupted
        files: dict[int, list[Attachment]] = {}

        def call(part: Part, rows: list[int]) -> Sequence[Any] | np.ndarray:
            things = [thing_at[i] for i in rows]
            items = self._domain.gather(things) if part.steps and not part.texts else things
            judged = part.judge(items, [sequences[i] for i in rows])
            for row, file in COLLECTOR.take(part.key, rows):
                files.setdefault(row, []).append(file)
            return judged

        def call_or_know(part: Part, rows: list[int]) -> Sequence[Any] | np.ndarray:
            if part.key not in known:
                return call(part, rows)
            values = np.asarray(known[part.key])
            there: dict[int, Any] = {}
            for i in rows:
                if (value := _known_value(part, values[i], len(tokens[i]))) is not None:
                    there[i] = value
            lacking = [i for i in rows if i not in there]
            if len(lacking) == len(rows):
                return call(part, rows)
            if lacking:
                there |= zip(lacking, call(part, lacking), strict=True)
            return [there[i] for i in rows]

        scores = self._finish(self._order, call_or_know, rows, tokens, scores)
        if files:
            scores = replace(scores, files=[tuple(files.get(row, ())) for row in range(size)])
        return scores

    def recompute(
        self,
        raw: Mapping[str, Values],
        tokens: Sequence[Sequence[str]],
        step_raw: Mapping[str, np.ndarray],
    ) -> Scores:
        """The scores of B valid sequences from raw values on record; no component is called.

        raw: float64 [B] by component, all of `keys`, NaN where there is none; tokens: of the B
        sequences; step_raw: float32 [B,T] of the components in `step_keys`. A sequence that lacks a
        value which its reward depends on has status FAILED.
        """
        size = len(tokens)
        scores = Scores(np.full(size, np.nan), np.full(size, _OK, np.int8), [""] * size)
        # a known filter of 0 decides whatever the others say
        order = sorted(self._order, key=lambda p: (not p.multiplies, np.isnan(raw[p.key]).all()))

        def look_up(part: Part, rows: list[int]) -> Sequence[Any] | np.ndarray:
            if not part.steps:
                return raw[part.key][rows]
            steps = step_raw[part.key]
            return [steps[i, : len(tokens[i])] for i in rows]

        return self._finish(order, look_up, list(range(size)), tokens, scores)

    def _finish(
        self,
        order: Sequence[Part],
        call: Callable[[Part, list[int]], Sequence[Any] | np.ndarray],
        rows: list[int],
        tokens: Sequence[Sequence[str]],
        scores: Scores,
    ) -> Scores:
        """The scores once `call` has given each part's values for the rows that reach it."""
        for part in order:
            self._enter(part, call(part, rows), rows, tokens, scores)
            if part.multiplies:
                # NaN where the component failed: the reward is unknown whatever the others say
                left = np.flatnonzero(scores.transformed[part.key][rows] > 0).tolist()
                rows = [rows[i] for i in left]
        scores = replace(
            scores,
            raw={key: scores.raw[key] for key in self.keys},
            transformed={key: scores.transformed[key] for key in self.keys},
            step_raw={key: scores.step_raw[key] for key in self.step_keys},
        )
        self._combine(scores)
        if self.pays_steps:
            ok = np.flatnonzero(scores.status == _OK)
            scores = replace(scores, step_rewards=self._pay(tokens, ok, scores))
        pay_failed(scores, self._config.failed, [len(row) for row in tokens])
        return scores

    def _combine(self, scores: Scores) -> None:
        """Enter the rewards of the sequences that all their components have judged, or stopped."""
        ok = np.flatnonzero(scores.status == _OK)
        if not len(ok):
            return
        table = np.array([scores.transformed[k][ok] for k in self.keys]).T.copy()
        scores.rewards[ok] = self.combined(table)
        if self.aggregate.multiplies.any():
            for row in ok[scores.rewards[ok] < 0].tolist():
                _note(
                    scores,
                    row,
                    "reward",
                    f"{scores.rewards[row]:g} is below 0, which is what a filter gives: give the "
                    "scores a transform to values of 0 and more",
                )
                scores.rewards[row] = np.nan

    def _standardized(self, sequence: str) -> str:
        return self._domain.standardize(sequence) if self._config.standardize else sequence

    def _read(
        self, sequences: list[str], tokens: Sequence[Sequence[str]], scores: Scores
    ) -> tuple[list[Any], list[int]]:
        """Parse sequences; returns the parsed ones and their rows. Others get their status and
        reward here."""
        parsed: list[Any] = []
        rows: list[int] = []
        for i, sequence in enumerate(sequences):
            try:
                item = self._domain.read(sequence, tokens[i])
            except MemoryError:
                raise
            except Exception as error:
                scores.status[i] = Status.FAILED
                scores.errors[i] = f"parsing: {type(error).__name__}: {error}"
                continue
            if item is None:
                scores.status[i] = Status.INVALID
                scores.errors[i] = self._domain.identify(sequence).reason
                scores.rewards[i] = self._invalid(tokens[i])
            else:
                parsed.append(item)
                rows.append(i)
        return parsed, rows

    def _enter(
        self,
        part: Part,
        judged: Any,
        rows: list[int],
        tokens: Sequence[Sequence[str]],
        scores: Scores,
    ) -> None:
        """Enter a component's values for the sequences at `rows`, and its failures."""
        raw = scores.raw[part.key] = np.full(len(tokens), np.nan)
        if part.steps:
            steps = np.full(_step_shape(tokens), np.nan, dtype=np.float32)
            scores.step_raw[part.key] = steps
        if part.steps and _is_table(judged, [len(tokens[i]) for i in rows]):
            steps[rows, : judged.shape[1]] = judged
            raw[rows] = judged.sum(1)
        else:
            for i, value in zip(rows, judged, strict=True):
                if part.steps:
                    values, complaint = numbers_per_action(value, len(tokens[i]))
                    steps[i, : len(values)] = values
                    raw[i] = values.sum()
                else:
                    raw[i], complaint = number_of(value)
                _note(scores, i, part.key, complaint)
        with np.errstate(all="ignore"):  # an overflow gives a value that is refused below
            transformed = scores.transformed[part.key] = part.transformed(raw)
        bounded = part.multiplies or self._config.aggregate in OF_0_TO_1
        if bounded or not np.isfinite(transformed[rows]).all():
            for i in rows:
                if not math.isnan(raw[i]):
                    _note(scores, i, part.key, self._out_of_range(part, transformed[i]))

    def _out_of_range(self, part: Part, value: float) -> str:
        if not math.isfinite(value):
            return f"transform gave {value}"
        if part.role == "filter" and value not in (0.0, 1.0):
            return f"a filter is 0 or 1, not {value:g}: give it a transform such as step"
        if part.role == "penalty" and not 0.0 <= value <= 1.0:
            return f"{value:g} is outside 0..1, where a penalty must be"
        if self._config.aggregate in OF_0_TO_1 and not 0.0 <= value <= 1.0:
            return f"{value:g} is outside 0..1, which {self._config.aggregate} needs"
        return ""

    def _invalid(self, tokens: Sequence[str]) -> float:
        """Reward of an invalid sequence; NaN where it gets the worst reward of a valid one."""
        if self._config.invalid is None and self._sole is not None and self._sole.invalid:
            return self._sole.invalid(tokens)
        return self._worth_of_invalid

    def _pay(self, tokens: Sequence[Sequence[str]], ok: np.ndarray, scores: Scores) -> np.ndarray:
        """float32 [B,T+1] rewards by the action, T the most tokens; adds the prefix terms to
        `rewards`. The rest of each reward is paid at the last action."""
        steps = np.zeros(_step_shape(tokens))
        for key, worth in self._worth.items():
            steps[ok] += worth * np.nan_to_num(scores.step_raw[key][ok])
        if self._prefixes is not None:
            self._add_prefixes(tokens, steps, scores)
        ends = [len(row) for row in tokens]
        # cumsum adds one by one, so that zeros after a short episode don't change the rounding
        paid = np.cumsum(steps, axis=1)[:, -1]
        steps[np.arange(len(tokens)), ends] += scores.rewards - paid
        steps[np.isnan(scores.rewards)] = np.nan
        return steps.astype(np.float32)

    def _add_prefixes(
        self, tokens: Sequence[Sequence[str]], steps: np.ndarray, scores: Scores
    ) -> None:
        assert self._prefixes is not None
        for i, row in enumerate(tokens):
            if scores.status[i] <= _INVALID:
                try:
                    terms = self._prefixes(row)
                except MemoryError:
                    raise
                except Exception as error:
                    _note(scores, i, self.keys[0], f"prefix: {type(error).__name__}: {error}")
                    scores.rewards[i] = np.nan
                else:
                    steps[i, : len(row)] += terms
                    scores.rewards[i] += sum(terms)


def pay_failed(scores: Scores, reward: float | None, ends: Sequence[int]) -> None:
    """Give the failed sequences this reward, unless it is None, at their last action, the number
    `ends` [B]. Their status stays the same."""
    if reward is None:
        return
    failed = np.isnan(scores.rewards) & ~unpriced(scores.rewards, scores.status)
    rows = np.flatnonzero(failed)
    scores.rewards[rows] = reward
    if scores.step_rewards is not None:
        scores.step_rewards[rows] = 0.0
        scores.step_rewards[rows, np.asarray(ends)[rows]] = reward


def _known_value(part: Part, value: Any, actions: int) -> Any:
    """The known value of a sequence, or with `steps` its values per action; None where it isn't
    known, or is of other actions."""
    if not part.steps:
        return None if math.isnan(value) else value
    if np.ndim(value) != 1:  # the sum alone
        return None
    found = np.flatnonzero(~np.isnan(value))
    return value[:actions] if actions and found.tolist() == list(range(actions)) else None


def _note(scores: Scores, row: int, key: str, complaint: str) -> None:
    """Set a row's status to FAILED with its first complaint; later ones are ignored."""
    if complaint and not scores.errors[row]:
        scores.status[row], scores.errors[row] = Status.FAILED, f"{key}: {complaint}"


def _step_shape(tokens: Sequence[Sequence[str]]) -> tuple[int, int]:
    """(B, T + 1) for at most T tokens, since the end may be one more action."""
    return len(tokens), max(map(len, tokens), default=0) + 1

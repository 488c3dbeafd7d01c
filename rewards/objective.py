"""Compiling a configuration into a reward, and scoring with it.

Each sequence is parsed once. A component that fails on one sequence fails that sequence alone:
its status is FAILED and its reward NaN, never 0, which would teach the policy to avoid it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from sequence_tutor.rewards import python_function
from sequence_tutor.rewards.aggregate import AGGREGATES, Values
from sequence_tutor.rewards.base import Reward, Scores, Status
from sequence_tutor.rewards.config import ComponentConfig, RewardConfig, TransformConfig
from sequence_tutor.rewards.registry import Component, check_options, components, unknown

# where a domain's components are registered, and its `read`, `split` and `quiet`
_DOMAINS = {"molecules": "sequence_tutor.rewards.molecules.scoring"}

Judge = Callable[[list[Any], list[str]], list[Any]]


@dataclass(frozen=True)
class _Part:
    """One compiled component. judge: parsed things and sequences -> values or exceptions."""

    key: str
    weight: float
    judge: Judge
    transform: TransformConfig | None

    def transformed(self, raw: Values) -> Values:
        return raw if self.transform is None else self.transform(raw)


def build_reward(config: RewardConfig, domain: str = "molecules") -> Reward:
    """Compile the [reward] section. Raises ValueError with one sentence on what is wrong."""
    if domain not in _DOMAINS:
        raise ValueError(unknown("domain", domain, _DOMAINS))
    room = import_module(_DOMAINS[domain])
    known = components(domain)
    parts: list[_Part] = []
    for one in config.component:
        if one.name != "python" and one.name not in known:
            raise ValueError(unknown("reward.component", one.name, [*known, "python"]))
        parts.append(_compile(one, known.get(one.name), _key(one, [p.key for p in parts])))
        if config.aggregate == "geometric_mean":
            _require_bounded(one, known.get(one.name))
    sole = known.get(config.component[0].name) if len(parts) == 1 else None
    if parts[0].transform is not None:
        sole = None
    for one in config.component:
        if one.options.get("prefix_terms") and (sole is None or sole.prefixes is None):
            raise ValueError(
                f"prefix_terms of {one.name!r} needs it to be the only component, untransformed"
            )
    return Objective(config, parts, room, sole)


def _key(one: ComponentConfig, taken: list[str]) -> str:
    base = one.label or one.name
    if one.label is not None and base in taken:
        raise ValueError(f"two components are called {base!r}; give each its own label")
    key, n = base, 1
    while key in taken:
        n += 1
        key = f"{base}_{n}"
    return key


def _compile(one: ComponentConfig, found: Component | None, key: str) -> _Part:
    options = one.options
    if found is None:
        check_options("component", "python", options, python_function.settings)
        function = python_function.load(options["function"])
        judge = _whole(function) if options.get("batched") else _each(function, texts=True)
        return _Part(key, one.weight, judge, one.transform)
    check_options("component", one.name, options, found.function)
    if found.check is not None:
        try:
            found.check(**options)
        except ValueError as error:
            raise ValueError(f"component {one.name!r}: {error}") from error
    return _Part(key, one.weight, _each(found.function, options), one.transform)


def _require_bounded(one: ComponentConfig, found: Component | None) -> None:
    kept = one.transform is None or one.transform.type == "identity"
    if one.transform is not None and one.transform.transform.bounded:
        return
    # a python function's range is unknown until it is called, so it is checked item by item
    if kept and (found is None or found.bounded):
        return
    what = "no transform" if one.transform is None else f"transform {one.transform.type!r}"
    raise ValueError(
        f"geometric_mean needs every component in 0..1, and {one.name!r} with {what} is not; "
        'give it one that ends there, such as { type = "sigmoid", low = ..., high = ... }'
    )


def _each(
    function: Callable[..., Any], options: dict[str, Any] | None = None, texts: bool = False
) -> Judge:
    def judge(things: list[Any], sequences: list[str]) -> list[Any]:
        out: list[Any] = []
        for item in sequences if texts else things:
            try:
                out.append(function(item, **(options or {})))
            except Exception as error:  # recorded as the item's failure
                out.append(error)
        return out

    return judge


def _whole(function: Callable[..., Any]) -> Judge:
    def judge(things: list[Any], sequences: list[str]) -> list[Any]:
        if not sequences:
            return []
        try:
            values = list(function(list(sequences)))
        except Exception as error:  # nobody can tell which item it was
            return [error] * len(sequences)
        if len(values) != len(sequences):
            wrong = ValueError(f"returned {len(values)} values for {len(sequences)} sequences")
            return [wrong] * len(sequences)
        return values

    return judge


def _number(value: Any) -> tuple[float, str]:
    """A finite float and no complaint, or NaN and what is wrong."""
    if isinstance(value, Exception):
        return math.nan, f"{type(value).__name__}: {value}"
    if not isinstance(value, (int, float, np.integer, np.floating, np.bool_)):
        return math.nan, f"returned {type(value).__name__}, not a number"
    try:
        number = float(value)
    except OverflowError:
        return math.nan, "returned a number too large for a float"
    return (number, "") if math.isfinite(number) else (math.nan, f"returned {number}")


class Objective:
    """A compiled reward; see `Reward`. `keys` are the names of its components, in order."""

    def __init__(
        self, config: RewardConfig, parts: list[_Part], room: Any, sole: Component | None
    ) -> None:
        self.keys = tuple(p.key for p in parts)
        self._config, self._parts, self._room, self._sole = config, parts, room, sole
        self._weights = np.array([p.weight for p in parts])
        steps = config.component[0].options.get("prefix_terms", False)
        self._prefixes = sole.prefixes if sole is not None and steps else None

    def score(
        self, sequences: Sequence[str], tokens: Sequence[Sequence[str]] | None = None
    ) -> Scores:
        """Judge B sequences; `tokens` without the end token, else they are split here.

        Raises ValueError only where `tokens` isn't one entry per sequence.
        """
        if tokens is not None and len(tokens) != len(sequences):
            raise ValueError(f"{len(sequences)} sequences came with {len(tokens)} token lists")
        with self._room.quiet():
            return self._score(list(sequences), tokens)

    def _score(self, sequences: list[str], tokens: Sequence[Sequence[str]] | None) -> Scores:
        if tokens is None:
            tokens = [self._room.split(s) for s in sequences]
        size = len(sequences)
        status = np.full(size, Status.OK, dtype=np.int8)
        errors = [""] * size
        rewards = np.full(size, np.nan)
        things: list[Any] = []
        rows: list[int] = []
        for i, sequence in enumerate(sequences):
            try:
                thing = self._room.read(sequence, tokens[i])
            except Exception as error:
                status[i], errors[i] = Status.FAILED, f"parsing: {type(error).__name__}: {error}"
                continue
            if thing is None:
                status[i], rewards[i] = Status.INVALID, self._invalid(tokens[i])
            else:
                things.append(thing)
                rows.append(i)
        raw: dict[str, np.ndarray] = {}
        transformed: dict[str, np.ndarray] = {}
        for part in self._parts:
            raw[part.key] = np.full(size, np.nan)
            judged = part.judge(things, [sequences[i] for i in rows])
            for i, value in zip(rows, judged, strict=True):
                raw[part.key][i], complaint = _number(value)
                self._note(i, part.key, complaint, status, errors)
            with np.errstate(all="ignore"):  # an overflow is noticed below, as a value
                transformed[part.key] = values = part.transformed(raw[part.key])
            for i in rows:
                if not math.isnan(raw[part.key][i]):
                    self._note(i, part.key, self._out_of_range(values[i]), status, errors)
        ok = np.flatnonzero(status == Status.OK)
        if len(ok):
            table = np.stack([transformed[k][ok] for k in self.keys], axis=1)
            rewards[ok] = AGGREGATES[self._config.aggregate](table, self._weights)
        steps = self._steps(tokens, rewards, status, errors) if self._prefixes else None
        return Scores(rewards, status, errors, raw, transformed, steps)

    @staticmethod
    def _note(row: int, key: str, complaint: str, status: np.ndarray, errors: list[str]) -> None:
        if complaint and not errors[row]:
            status[row], errors[row] = Status.FAILED, f"{key}: {complaint}"

    def _out_of_range(self, value: float) -> str:
        if not math.isfinite(value):
            return f"transform gave {value}"
        if self._config.aggregate == "geometric_mean" and not 0.0 <= value <= 1.0:
            return f"{value:g} is outside 0..1, which geometric_mean needs"
        return ""

    def _invalid(self, tokens: Sequence[str]) -> float:
        if self._config.invalid is not None:
            return self._config.invalid
        if self._sole is not None and self._sole.invalid is not None:
            return self._sole.invalid(tokens)
        return 0.0

    def _steps(
        self,
        tokens: Sequence[Sequence[str]],
        rewards: Values,
        status: np.ndarray,
        errors: list[str],
    ) -> np.ndarray:
        """float32 [B,T], T the most tokens + 1; adds the prefix terms to `rewards` in place."""
        assert self._prefixes is not None
        steps = np.zeros((len(tokens), max(map(len, tokens), default=0) + 1), dtype=np.float32)
        for i, row in enumerate(tokens):
            if status[i] in (Status.OK, Status.INVALID):
                try:
                    terms = self._prefixes(row)
                except Exception as error:
                    complaint = f"prefix: {type(error).__name__}: {error}"
                    self._note(i, self.keys[0], complaint, status, errors)
                    rewards[i] = np.nan
                else:
                    steps[i, : len(row)] = terms
                    steps[i, len(row)] = rewards[i]
                    rewards[i] += sum(terms)
            if status[i] == Status.FAILED:
                steps[i] = np.nan
        return steps

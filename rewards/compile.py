"""Compiling a [reward] section into an `Objective`."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from sequence_tutor.rewards.aggregate import OF_0_TO_1, Aggregate
from sequence_tutor.rewards.attachments import COLLECTOR, SEVERAL
from sequence_tutor.rewards.bounds import worth_of_invalid
from sequence_tutor.rewards.chosen import chosen_components, sole_component
from sequence_tutor.rewards.compiled_reward import Objective
from sequence_tutor.rewards.config import ComponentConfig, RewardConfig, TransformConfig
from sequence_tutor.rewards.costs import costs
from sequence_tutor.rewards.domains import domain_named
from sequence_tutor.rewards.part import Judge, Part, call_rank
from sequence_tutor.rewards.place import Place, TextJudge
from sequence_tutor.rewards.registry import Component, check_options, components
from sequence_tutor.rewards.returned import one_for_each


def build_reward(
    config: RewardConfig, domain: str = "molecules", place: Place | None = None
) -> Objective:
    """Compile the [reward] section; by default the user's files are in the working directory.
    Raises ValueError with one sentence on what is wrong."""
    place = place or Place()
    if config.standardize and not domain_named(domain).standardizes:
        raise ValueError(f"reward.standardize: {domain} have no standard form; leave it out")
    known = components(domain)
    parts: list[Part] = []
    for key, one in keyed_components(config, domain).items():
        parts.append(_compile(one, known[one.name], key, place))
        if config.aggregate == "product" and one.role == "score" and one.weight not in (0, 1):
            raise ValueError(
                f"product doesn't weigh its components, and {one.name!r} has weight = "
                f'{one.weight:g}: leave it out, or set aggregate = "weighted_product"'
            )
        if config.aggregate in OF_0_TO_1:
            _require_bounded(config.aggregate, one, known[one.name])
        if one.role != "score" and parts[-1].steps:
            raise ValueError(f"{one.name!r} judges each step, so it can't be a {one.role}")
        if config.standardize and parts[-1].steps:
            raise ValueError(
                f"{one.name!r} pays the steps of a sequence as it was made, and "
                "reward.standardize changes it: leave out one of the two"
            )
    if not any(p.weight > 0 for p in parts if not p.multiplies):
        raise ValueError("at least one reward.component needs a weight above 0, as a score")
    if config.aggregate == "pareto" and sum(p.weight > 0 for p in parts if not p.multiplies) < 2:
        raise ValueError(
            "pareto needs two or more components with a weight, as scores: a single one has no "
            'trade-off; set aggregate = "arithmetic_mean"'
        )
    return _objective(config, domain, parts)


def without_calls(config: RewardConfig, domain: str) -> Objective:
    """The reward for `Objective.recompute` alone. Nothing is compiled: a user's function isn't
    imported, and no file is read. Raises ValueError as `call_order`."""
    known = components(domain)
    parts = [
        Part(
            key,
            one.weight,
            _not_called,
            one.transform,
            known[one.name].judges_steps(one.options),
            role=one.role,
            cost=_cost(one.name, domain),
        )
        for key, one in keyed_components(config, domain).items()
    ]
    return _objective(config, domain, parts)


def _not_called(parsed: Any, sequences: list[str]) -> Sequence[Any]:
    raise RuntimeError("a reward for recomputing calls no component")


def _objective(config: RewardConfig, domain: str, parts: list[Part]) -> Objective:
    chosen, sole = chosen_components(config, domain), sole_component(config, domain)
    for one in chosen:
        if one.options.get("prefix_terms") and (sole is None or sole.prefixes is None):
            raise ValueError(
                f"prefix_terms of {one.name!r} needs it to be the only component, untransformed"
            )
    with_prefixes = bool(chosen[0].options.get("prefix_terms", False))
    worth = worth_of_invalid(config, domain).value
    kind = domain_named(domain).telling_apart(config.told_apart).within(config.window)
    return Objective(config, parts, kind, sole, worth, with_prefixes)


def call_order(config: RewardConfig, domain: str = "molecules") -> str:
    """A sentence on the order of the calls, for the start of a run; "" where every component is
    called. Nothing is compiled: a user's function isn't imported, and no file is read. Raises
    ValueError with one sentence on what is wrong."""
    ordered = components_in_order(config, domain)
    if all(one.role == "score" for _, one in ordered):
        return ""
    said = [key if one.role == "score" else f"{key} ({one.role})" for key, one in ordered]
    return f"components in the order of their calls: {', '.join(said)}"


def components_in_order(config: RewardConfig, domain: str) -> list[tuple[str, ComponentConfig]]:
    """The components by their keys, in the order of their calls. Raises as `call_order`."""
    return sorted(
        keyed_components(config, domain).items(),
        key=lambda item: call_rank(item[1].role, _cost(item[1].name, domain)),
    )


def keyed_components(config: RewardConfig, domain: str) -> dict[str, ComponentConfig]:
    """The components of a config by their keys, in order. Raises ValueError as `call_order`."""
    found: dict[str, ComponentConfig] = {}
    for one in chosen_components(config, domain):
        found[_key(one, found)] = one
    return found


def aggregate_of(config: RewardConfig, domain: str) -> tuple[tuple[str, ...], Aggregate]:
    """The names of the components and what combines their transformed values. Nothing is compiled:
    a user's function isn't imported, and no file is read. Raises ValueError as `call_order`."""
    chosen = keyed_components(config, domain)
    weights = np.array([one.weight for one in chosen.values()])
    multiplies = np.array([one.role != "score" for one in chosen.values()], bool)
    return tuple(chosen), Aggregate(config.aggregate, weights, multiplies)


def _cost(name: str, domain: str) -> float:
    """Measured microseconds for a sequence; inf where it isn't known."""
    return costs(domain).get(name, math.inf)


def _key(one: ComponentConfig, taken: Collection[str]) -> str:
    base = one.label or one.name
    if one.label is not None and base in taken:
        raise ValueError(f"two components are called {base!r}; give each its own label")
    key, n = base, 1
    while key in taken:
        n += 1
        key = f"{base}_{n}"
    return key


def _compile(one: ComponentConfig, found: Component, key: str, place: Place) -> Part:
    options = one.options
    check_options("component", one.name, options, found.function)
    if found.check is not None:
        try:
            found.check(**options)
        except ValueError as error:
            raise ValueError(f"component {one.name!r}: {error}") from error
    at_once = False
    if found.texts:
        judge, at_once = _of_texts(found.function(place, **options))
    elif found.steps:
        judge = _at_once(lambda gathered, _: found.function(gathered, **options), "rows")
    else:
        judge = _each(found.function, options)
    return Part(
        key,
        one.weight,
        judge,
        one.transform,
        found.judges_steps(options),
        found.texts,
        at_once,
        ours=found.function.__module__.startswith("sequence_tutor.") and not found.texts,
        role=one.role,
        cost=_cost(found.name, found.domain),
        prepare=_preparation(found, options),
    )


def _preparation(found: Component, options: dict[str, Any]) -> Callable[[], object] | None:
    prepare = found.prepare
    if prepare is None:
        return None

    def run() -> None:
        try:
            prepare(**options)
        except ValueError as error:
            raise ValueError(f"component {found.name!r}: {error}") from error

    return run


def _of_texts(judge: TextJudge) -> tuple[Judge, bool]:
    if judge.at_once:
        return _at_once(lambda _, sequences: judge.call(list(sequences)), "values"), True
    return _each(judge.call, texts=True), False


def _require_bounded(aggregate: str, one: ComponentConfig, found: Component) -> None:
    kept = one.transform is None or one.transform.type == "identity"
    if one.transform is not None and _gives_0_to_1(one.transform):
        return
    # what judges texts has an unknown range, so each of its values is checked
    if kept and found.texts:
        return
    if kept:
        low, high = found.range_with(one.options)
        if low >= 0 and high <= 1:
            return
    what = "no transform" if one.transform is None else f"transform {one.transform.type!r}"
    raise ValueError(
        f"{aggregate} needs every component in 0..1, and {one.name!r} with {what} is not; "
        'give it a transform to 0..1, such as { type = "sigmoid", low = ..., high = ... }'
    )


def _gives_0_to_1(transform: TransformConfig) -> bool:
    """Whether its values lie in 0..1 for every input."""
    low, high = transform.transform.range(-math.inf, math.inf, **transform.options)
    return low >= 0 and high <= 1


def _each(
    function: Callable[..., Any], options: dict[str, Any] | None = None, texts: bool = False
) -> Judge:
    def judge(parsed: list[Any], sequences: list[str]) -> list[Any]:
        out: list[Any] = []
        try:
            for place, item in enumerate(sequences if texts else parsed):
                COLLECTOR.place = place
                try:
                    out.append(function(item, **(options or {})))
                except MemoryError:
                    raise
                except Exception as error:  # recorded as the sequence's failure
                    out.append(error)
        finally:
            COLLECTOR.place = None
        return out

    return judge


def _at_once(call: Callable[[Any, list[str]], Any], what: str) -> Judge:
    """A judge that makes one call for all sequences, which must return one of `what` for each."""

    def judge(parsed: Any, sequences: list[str]) -> Sequence[Any] | np.ndarray:
        if not sequences:
            return []
        COLLECTOR.place = SEVERAL
        try:
            values = one_for_each(call(parsed, sequences), len(sequences))
            if len(values) != len(sequences):
                raise ValueError(f"returned {len(values)} {what} for {len(sequences)} sequences")
        except MemoryError:
            raise
        except Exception as error:  # it may come from any of the sequences, so all have failed
            return [error] * len(sequences)
        finally:
            COLLECTOR.place = None
        return values

    return judge

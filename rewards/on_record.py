"""Which raw values on record serve another reward: those of the same function and options.

Weights, transforms, roles and labels don't change a raw value, so a reward that differs in these
alone needs no new call.
"""

from __future__ import annotations

import inspect
import json
from typing import Any

from sequence_tutor.rewards.compile import keyed_components
from sequence_tutor.rewards.config import ComponentConfig, RewardConfig, without_limits
from sequence_tutor.rewards.registry import components


def values_on_record(config: RewardConfig, before: RewardConfig, domain: str) -> dict[str, str]:
    """From the key of a component of `config` to the key under which `before` has its raw values;
    components that are new are left out. Raises ValueError for a config that is wrong."""
    if config.standardize != before.standardize:
        return {}  # values of other structures
    known: dict[str, str] = {}
    for key, one in keyed_components(before, domain).items():
        known.setdefault(_value_identity(one, domain), key)
    wanted = keyed_components(config, domain)
    by_key = {key: known.get(_value_identity(one, domain)) for key, one in wanted.items()}
    return {key: found for key, found in by_key.items() if found is not None}


def only(config: RewardConfig, keys: list[str], domain: str) -> RewardConfig:
    """The reward of these components alone, each labelled with its key, to get their raw values.
    Filters and penalties among them still stop a sequence before the others."""
    kept = [
        one.model_copy(update={"label": key})
        for key, one in keyed_components(config, domain).items()
        if key in keys
    ]
    if not any(one.role == "score" and one.weight > 0 for one in kept):
        plain = {"role": "score", "weight": 1.0, "transform": None}
        kept = [one.model_copy(update=plain) for one in kept]
        return config.model_copy(update={"component": kept, "aggregate": "arithmetic_mean"})
    return config.model_copy(update={"component": kept})


def _value_identity(one: ComponentConfig, domain: str) -> str:
    """What a component's raw value is a function of: its name and options, defaults included,
    without those that only limit how it works."""
    dumped = one.model_dump(mode="json")
    given = {name: value for name, value in dumped.items() if name not in type(one).model_fields}
    options = without_limits({"name": one.name} | _defaults(one.name, domain) | given)
    return json.dumps(options, sort_keys=True, default=str)


def _defaults(name: str, domain: str) -> dict[str, Any]:
    parameters = inspect.signature(components(domain)[name].function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}

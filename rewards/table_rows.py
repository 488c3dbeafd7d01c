"""Rows of a table of mean rewards: by which rules components judge, and what each adds."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sequence_tutor.rewards.aggregate import LINEAR, Values
from sequence_tutor.rewards.compile import aggregate_of, keyed_components
from sequence_tutor.rewards.config import ComponentConfig, RewardConfig
from sequence_tutor.rewards.registry import components

# The option by which a component has several sets of rules.
_PROFILE = "profile"


@dataclass(frozen=True)
class TableRows:
    """How the components of a reward are shown. Without arguments: as raw means alone."""

    notes: Mapping[str, str] = field(default_factory=dict)
    """Which rules a component judges by, by its row; only of those that have several sets."""
    components: Mapping[str, ComponentConfig] = field(default_factory=dict)
    """The components by name, where the reward is a sum or mean of them; else none."""
    worth: Mapping[str, float] = field(default_factory=dict)
    """Reward per unit of each component's transformed value."""

    @classmethod
    def of(cls, config: RewardConfig, domain: str) -> TableRows:
        """Of a reward. Raises ValueError where the config is wrong; no component is imported."""
        chosen = keyed_components(config, domain)
        profiles = {name: _profile(one, domain) for name, one in chosen.items()}
        notes = {_row(name): text for name, text in profiles.items() if text}
        _, aggregate = aggregate_of(config, domain)
        if config.aggregate not in LINEAR or aggregate.multiplies.any():
            return cls(notes)
        worth = dict(zip(chosen, LINEAR[config.aggregate](aggregate.weights).tolist(), strict=True))
        if all(worth[name] == 1 and one.transform is None for name, one in chosen.items()):
            return cls(notes)  # each raw value is what it adds
        notes |= {_added(name): text for name, text in profiles.items() if text}
        return cls(notes, chosen, worth)

    def means(self, rewards: Values, raw: Mapping[str, Values]) -> dict[str, float]:
        """The means by row: of rewards, float64 [B]; where there are several components, of their
        raw values, float64 [B] each; and of what each adds to the reward. NaN isn't counted."""
        rows = {"reward": mean_of_known(rewards)}
        if len(raw) < 2:
            return rows
        rows |= {
            _row(name): mean_of_known(np.asarray(values, np.float64))
            for name, values in raw.items()
        }
        for name, one in self.components.items():
            if name in raw:
                values = np.asarray(raw[name], np.float64)
                if one.transform is not None:
                    values = one.transform(values)
                rows[_added(name)] = self.worth[name] * mean_of_known(values)
        return rows


def _row(name: str) -> str:
    return f"reward: {name}"


def _added(name: str) -> str:
    return f"adds: {name}"


def _profile(one: ComponentConfig, domain: str) -> str:
    parameter = inspect.signature(components(domain)[one.name].function).parameters.get(_PROFILE)
    if parameter is None:
        return ""
    return str(one.options.get(_PROFILE, parameter.default))


def mean_of_known(values: Values) -> float:
    """Mean of the values that aren't NaN; NaN where there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


# Raw means alone.
RAW_MEANS = TableRows()

"""Pins what the files of a reward contain, so that a changed file is another reward.

A component that is a file, such as a trained model, gives other scores once the file has changed.
Before a run its config gets options that say what the file contains, such as `sha256`. They belong
to the identity of the reward, so scores of two files don't mix, and each process that scores checks
its own copy against them.
"""

from __future__ import annotations

from sequence_tutor.rewards.config import ComponentConfig, RewardConfig
from sequence_tutor.rewards.registry import Component, check_options, components


def pinned(config: RewardConfig, domain: str) -> RewardConfig:
    """The config with the content of its files pinned; what is pinned already is left. Raises
    ValueError with one sentence where an option is wrong or a file can't be read."""
    known = components(domain)
    changed = [_pinned(one, known.get(one.name)) for one in config.component]
    return config.model_copy(update={"component": changed})


def _pinned(one: ComponentConfig, found: Component | None) -> ComponentConfig:
    if found is None or found.pin is None:
        return one
    check_options("component", one.name, one.options, found.function)
    try:
        added = found.pin(**one.options)
    except ValueError as error:
        raise ValueError(f"component {one.name!r}: {error}") from error
    return one.model_copy(update=added)

"""The components that a [reward] section names, with bundles replaced by their components."""

from __future__ import annotations

from pydantic import ValidationError

from sequence_tutor.rewards.config import ComponentConfig, RewardConfig
from sequence_tutor.rewards.registry import (
    Bundle,
    Component,
    bundles,
    check_options,
    components,
    unknown,
)


def chosen_components(config: RewardConfig, domain: str) -> list[ComponentConfig]:
    """The components in their order, each registered for the domain. A user's function isn't
    imported. Raises ValueError with one sentence on what is wrong."""
    known, groups = components(domain), bundles(domain)
    chosen: list[ComponentConfig] = []
    for one in config.component:
        chosen += _unpack(one, groups[one.name]) if one.name in groups else [one]
    for one in chosen:
        if one.name not in known:
            raise ValueError(unknown("reward.component", one.name, [*known, *groups]))
    return chosen


def sole_component(config: RewardConfig, domain: str) -> Component | None:
    """The registered component whose raw value is the reward, since it is the only one and has no
    transform; else None. Raises as `chosen_components`."""
    chosen = chosen_components(config, domain)
    if len(chosen) > 1 or chosen[0].transform is not None:
        return None
    return components(domain)[chosen[0].name]


def _unpack(one: ComponentConfig, found: Bundle) -> list[ComponentConfig]:
    """The components of a bundle; its weight multiplies theirs. Raises ValueError."""
    if one.transform is not None or one.label is not None or one.role != "score":
        raise ValueError(
            f"{one.name!r} is several components: it takes no transform, no label and no role"
        )
    check_options("component", one.name, one.options, found.function, judges=False)
    try:
        unpacked = [ComponentConfig.model_validate(c) for c in found.function(**one.options)]
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise ValueError(f"component {one.name!r}: {where}: {problem['msg']}") from error
    except ValueError as error:
        raise ValueError(f"component {one.name!r}: {error}") from error
    return [c.model_copy(update={"weight": c.weight * one.weight}) for c in unpacked]

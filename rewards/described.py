"""What the registry knows about components and transforms, as texts for pages and the terminal."""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sequence_tutor.rewards.costs import costs
from sequence_tutor.rewards.options import signature_options
from sequence_tutor.rewards.registry import Component, components
from sequence_tutor.rewards.transforms import TRANSFORMS


@dataclass(frozen=True)
class Option:
    """One option of a component or a transform."""

    name: str
    """Its key in the configuration."""
    default: str
    """Its default as TOML; "" where it must be given, "none" where it may be left out."""
    meaning: str
    """What it says; "" where the function doesn't explain it."""

    @property
    def short(self) -> str:
        """Its name with its default."""
        return f"{self.name} = {self.default}" if self.default else self.name


@dataclass(frozen=True)
class Description:
    """One component or transform."""

    name: str
    """Its name in the configuration."""
    value: str
    """What it computes, with the unit."""
    more: str
    """What else its function says; "" for nothing."""
    range: str
    """The limits of its values."""
    cost: str
    """About how long it takes for a molecule; "" where it isn't measured."""
    options: tuple[Option, ...]
    """Its options, in their order."""
    reference: str
    """Where its value is defined; "" for none."""
    example: str
    """An inline table of a configuration."""


def described_components(domain: str) -> list[Description]:
    """All components of a domain, by name. Raises ValueError for an unknown domain."""
    found = sorted(components(domain).items())
    return [_describe_component(component) for _, component in found]


def described_transforms() -> list[Description]:
    """All transforms, bounded ones first."""
    return [
        _describe(
            name,
            transform.function,
            "0 to 1" if transform.bounded else "depends on the input",
            example="",
        )
        for name, transform in TRANSFORMS.items()
    ]


def example_of(component: Component) -> str:
    """An inline table that configures the component, with what it needs."""
    given = f", {component.example}" if component.example else ""
    return f'{{ name = "{component.name}"{given} }}'


def _describe_component(component: Component) -> Description:
    return _describe(
        component.name,
        component.function,
        _range_text(*component.range),
        cost_text(costs(component.domain).get(component.name)),
        component.reference,
        example_of(component),
    )


def _describe(
    name: str,
    function: Callable[..., Any],
    limits: str,
    cost: str = "",
    reference: str = "",
    example: str = "",
) -> Description:
    names, required = signature_options(function)
    value, more, meanings = _parts(inspect.getdoc(function) or "", names)
    parameters = inspect.signature(function).parameters
    options = tuple(
        Option(
            one, "" if one in required else _toml(parameters[one].default), meanings.get(one, "")
        )
        for one in names
    )
    return Description(name, value, more, limits, cost, options, reference, example)


def _parts(text: str, options: tuple[str, ...]) -> tuple[str, str, dict[str, str]]:
    """The first paragraph of a docstring, the others, and what it says about each option, on lines
    such as `radius: bonds around each atom`."""
    meanings: dict[str, str] = {}
    paragraphs: list[str] = []
    for paragraph in text.split("\n\n"):
        option = ""
        plain = []
        for line in paragraph.splitlines():
            found = re.match(r"(\w+): (.*)", line)
            if found and found[1] in options:
                option = found[1]
                meanings[option] = found[2]
            elif option:
                meanings[option] += f" {line.strip()}"
            else:
                plain.append(line.strip())
        paragraphs.append(" ".join(plain))
    others = [one for one in paragraphs[1:] if one]
    return paragraphs[0], " ".join(others), meanings


def _toml(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return str(value)
    return json.dumps(value)


def _range_text(low: float, high: float) -> str:
    if math.isinf(low):
        return "any" if math.isinf(high) else f"up to {high:g}"
    return f"from {low:g}" if math.isinf(high) else f"{low:g} to {high:g}"


def cost_text(microseconds: float | None) -> str:
    """The nearest power of ten, as "0.1 ms"; "" for None."""
    if microseconds is None:
        return ""
    power = round(math.log10(max(microseconds, 1.0)))
    return f"{10.0 ** (power - 3):g} ms"

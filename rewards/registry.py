"""The registry: components by name, per domain.

A component is a plain function. Its first parameter is the parsed sequence (a `Molecule` in the
domain "molecules"); the parameters after it are its options in the configuration. A bundle is a
function of options that returns several components, to be configured as one. What judges plain
text, such as a user's function or program, is a component of every domain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, TypeVar

from sequence_tutor.rewards.domains import domain_named
from sequence_tutor.rewards.names import unknown as unknown  # callers find these here
from sequence_tutor.rewards.options import check_options as check_options
from sequence_tutor.rewards.options import signature_options as signature_options

ENTRY_POINTS = "sequence_tutor.rewards"
# domain of components that judge the sequences of all domains
EVERY = "*"
# module that registers ours; imported on first use, since it imports this one
_OF_EVERY_DOMAIN = "sequence_tutor.rewards.external.components"
# keys of [[reward.component]] that are its own fields, so no option may have these names
RESERVED = frozenset({"name", "weight", "transform", "label", "role"})

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Component:
    """A registered function, which gives a raw value to each sequence."""

    name: str
    """Name in the configuration, unique in its domain."""
    domain: str
    """Name of the domain, such as "molecules", or EVERY."""
    function: Callable[..., Any]
    """Parsed sequence and options -> raw value; with `steps` or `texts`, see there."""
    bounded: bool
    """Whether raw values lie in [0, 1]."""
    check: Callable[..., object] | None = None
    """Called with the options when a reward is built; raises ValueError for a bad value."""
    prepare: Callable[..., object] | None = None
    """Called with the options before the first sequence, in the process of which those that score
    are copies: loads what takes long; raises ValueError where it can't."""
    invalid: Callable[[Sequence[str]], float] | None = None
    """Tokens of an invalid sequence -> its reward, where the component stands alone."""
    prefixes: Callable[[Sequence[str]], list[float]] | None = None
    """Tokens [T] -> the T rewards paid on the way, before the terminal one."""
    steps: bool = False
    """Whether the function judges B sequences at once, as the domain's `gather` gives them, and
    returns a value per action: B arrays float64 [T], or one [B,T]. Their sum is the raw value. One
    that judges `texts` gives these for the texts that it gets; see `steps_if`."""
    steps_if: Callable[..., bool] | None = None
    """Options -> `steps`, where the options decide; None where it is the same for all."""
    texts: bool = False
    """Whether it judges sequences as they are written: when a reward is built, the function gets
    the `Place` and the options and returns a `TextJudge`, or raises ValueError with one sentence.
    Its range is unknown, so each value is checked."""
    least: float = -math.inf
    """Lower limit of raw values that aren't `bounded`; -inf where it is unknown."""
    most: float = math.inf
    """Upper limit of raw values that aren't `bounded`; inf where it is unknown."""
    reference: str = ""
    """Where the value is defined: an address, or authors, year and address; "" for none."""
    example: str = ""
    """What a configuration may say beside the name, such as `radius = 3`; "" for nothing."""
    limits: Callable[..., tuple[float, float]] | None = None
    """Options -> limits of raw values, where the options decide; inside `least` and `most`."""
    pin: Callable[..., dict[str, Any]] | None = None
    """Options -> options to add, which say what its files contain, see `pinned`. Raises ValueError
    with one sentence."""

    @property
    def range(self) -> tuple[float, float]:
        """The limits of its raw values, whatever the options."""
        return (0.0, 1.0) if self.bounded else (self.least, self.most)

    def judges_steps(self, options: Mapping[str, Any]) -> bool:
        """Whether it returns a value per action with these options."""
        return self.steps if self.steps_if is None else self.steps_if(**options)

    def range_with(self, options: Mapping[str, Any]) -> tuple[float, float]:
        """The limits of its raw values with these options."""
        return self.range if self.limits is None else self.limits(**options)


@dataclass(frozen=True)
class Bundle:
    """A registered function that stands for several components."""

    name: str
    """Name in the configuration, unique in its domain."""
    domain: str
    """Name of the domain, such as "molecules"."""
    function: Callable[..., list[dict[str, Any]]]
    """Options -> [[reward.component]] tables, as dicts."""


_BUNDLES: dict[tuple[str, str], Bundle] = {}
_COMPONENTS: dict[tuple[str, str], Component] = {}


def component(
    name: str,
    *,
    domain: str,
    bounded: bool = False,
    check: Callable[..., object] | None = None,
    prepare: Callable[..., object] | None = None,
    invalid: Callable[[Sequence[str]], float] | None = None,
    prefixes: Callable[[Sequence[str]], list[float]] | None = None,
    steps: bool = False,
    steps_if: Callable[..., bool] | None = None,
    texts: bool = False,
    least: float = -math.inf,
    most: float = math.inf,
    reference: str = "",
    example: str = "",
    limits: Callable[..., tuple[float, float]] | None = None,
    pin: Callable[..., dict[str, Any]] | None = None,
) -> Callable[[F], F]:
    """Register a function as a component of a domain, or of EVERY; returns it unchanged.

    The arguments are those of `Component`. Raises TypeError for a signature that can't be
    configured, ValueError for a name that is taken, an option name that is reserved, limits that
    contradict each other, and a component of every domain that doesn't judge texts.
    """
    if domain == EVERY and not texts:
        raise ValueError(f"component {name!r} of every domain must judge texts")
    if not least <= most:
        raise ValueError(f"component {name!r}: least = {least} is not up to most = {most}")
    if bounded and (least, most) != (-math.inf, math.inf):
        raise ValueError(f"component {name!r}: bounded means 0..1, so give no least and no most")

    def register(function: F) -> F:
        options, _ = signature_options(function)
        if clash := RESERVED.intersection(options):
            raise ValueError(f"component {name!r} may not have an option {min(clash)!r}")
        _require_free(name, domain)
        _COMPONENTS[domain, name] = Component(
            name=name,
            domain=domain,
            function=function,
            bounded=bounded,
            check=check,
            prepare=prepare,
            invalid=invalid,
            prefixes=prefixes,
            steps=steps,
            steps_if=steps_if,
            texts=texts,
            least=least,
            most=most,
            reference=reference,
            example=example,
            limits=limits,
            pin=pin,
        )
        return function

    return register


def bundle(name: str, *, domain: str) -> Callable[[F], F]:
    """Register a function as a bundle of a domain; returns it unchanged. Raises as `component`."""

    def register(function: F) -> F:
        options, _ = signature_options(function, judges=False)
        if clash := RESERVED.intersection(options):
            raise ValueError(f"bundle {name!r} may not have an option {min(clash)!r}")
        _require_free(name, domain)
        _BUNDLES[domain, name] = Bundle(name, domain, function)
        return function

    return register


def _require_free(name: str, domain: str) -> None:
    for other, taken in (*_COMPONENTS, *_BUNDLES):
        if taken == name and (other == domain or EVERY in (other, domain)):
            of = "every domain" if other == EVERY else repr(other)
            raise ValueError(f"component {name!r} of {of} is registered already")


@cache
def _load_entry_points() -> None:
    for entry in entry_points(group=ENTRY_POINTS):
        try:
            entry.load()
        except Exception as error:
            message = f"entry point {entry.name!r} ({entry.value}) failed: {error}"
            raise ValueError(message) from error


def components(domain: str) -> dict[str, Component]:
    """All components of a domain by name, those of every domain among them; the first call imports
    them, and third parties' entry points. Raises ValueError for an unknown domain."""
    domain_named(domain).load_components()
    import_module(_OF_EVERY_DOMAIN)
    _load_entry_points()
    return {c.name: c for c in _COMPONENTS.values() if c.domain in (domain, EVERY)}


def bundles(domain: str) -> dict[str, Bundle]:
    """All bundles of a domain; the rest as for `components`."""
    domain_named(domain).load_components()
    _load_entry_points()
    return {b.name: b for b in _BUNDLES.values() if b.domain == domain}

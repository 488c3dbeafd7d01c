"""All domains, by the encoding of their sequences: the shipped ones and those of other packages.

Another package adds a class of `base.Domain` as an entry point of the group
"sequence_tutor.domains", under the name of its encoding (docs/domains.md).
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from sequence_tutor.rewards.base import Domain
from sequence_tutor.rewards.names import unknown

GROUP = "sequence_tutor.domains"
# Imported on first use: scoring molecules needs no library of melodies.
_SHIPPED = {
    "melody": "sequence_tutor.rewards.melodies.domain:MelodyDomain",
    "selfies": "sequence_tutor.rewards.molecules.domain:MoleculeDomain",
    "smiles": "sequence_tutor.rewards.molecules.domain:MoleculeDomain",
}
# Encoding -> domain, so that a shipped domain is found without importing the other. The first
# encoding of a domain stands for it.
_DOMAINS = {"melody": "melodies", "smiles": "molecules", "selfies": "molecules"}


@cache
def _classes() -> dict[str, EntryPoint]:
    """Encoding -> class. Raises ValueError where a package takes a shipped name."""
    found = {name: EntryPoint(name, value, GROUP) for name, value in _SHIPPED.items()}
    for entry in entry_points(group=GROUP):
        if entry.name in found:
            raise ValueError(f"{_where(entry)}: the name is taken already")
        found[entry.name] = entry
    return found


def domain_of(encoding: str) -> Domain:
    """The domain of an encoding's sequences. Raises ValueError for an unknown encoding, and for an
    entry point that can't be loaded."""
    if encoding not in _classes():
        raise ValueError(unknown("encoding", encoding, _classes()))
    entry = _classes()[encoding]
    try:
        return cast(Domain, entry.load()())
    except Exception as error:
        raise ValueError(f"{_where(entry)} failed: {type(error).__name__}: {error}") from error


def name_of(encoding: str) -> str:
    """The name of the domain; a shipped one isn't imported for it. Raises as `domain_of`."""
    return _DOMAINS[encoding] if encoding in _DOMAINS else domain_of(encoding).name


def _where(entry: EntryPoint) -> str:
    return f"entry point {entry.name!r} of {GROUP} ({entry.value})"


def domain_named(name: str) -> Domain:
    """The domain of this name. Raises ValueError for an unknown one."""
    for encoding, own in _DOMAINS.items():
        if own == name:
            return domain_of(encoding)
    others = [domain_of(encoding) for encoding in _classes() if encoding not in _SHIPPED]
    by_name = {domain.name: domain for domain in others}
    if name not in by_name:
        raise ValueError(unknown("domain", name, [*dict.fromkeys(_DOMAINS.values()), *by_name]))
    return by_name[name]

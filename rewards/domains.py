"""All domains, by the encoding of their sequences."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from sequence_tutor.rewards.base import Domain

# Encoding -> module and class, imported on first use: scoring molecules needs no MIDI library.
_DOMAINS = {
    "melody": ("sequence_tutor.rewards.melodies.domain", "MelodyDomain"),
    "smiles": ("sequence_tutor.rewards.molecules.domain", "MoleculeDomain"),
}


def domain_of(encoding: str) -> Domain:
    """The domain of an encoding's sequences. Raises KeyError for an unknown encoding."""
    module, name = _DOMAINS[encoding]
    return cast(Domain, getattr(import_module(module), name)())

"""The applications there are, by the encoding of their sequences."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from sequence_tutor.rewards.base import Domain

# module and class, loaded when asked for: who scores molecules needs no MIDI library
_DOMAINS = {
    "melody": ("sequence_tutor.rewards.melodies.domain", "MelodyDomain"),
    "smiles": ("sequence_tutor.rewards.molecules.domain", "MoleculeDomain"),
}


def domain_of(encoding: str) -> Domain:
    """The domain whose sequences an encoding spells. Raises KeyError for an unknown one."""
    module, name = _DOMAINS[encoding]
    return cast(Domain, getattr(import_module(module), name)())

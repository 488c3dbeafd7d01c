"""The applications there are, by the encoding of their sequences."""

from __future__ import annotations

from sequence_tutor.rewards.base import Domain
from sequence_tutor.rewards.molecules.domain import MoleculeDomain

DOMAINS: dict[str, type[Domain]] = {"smiles": MoleculeDomain}


def domain_of(encoding: str) -> Domain:
    """The domain whose sequences an encoding spells. Raises KeyError for an unknown one."""
    return DOMAINS[encoding]()

"""The names of several policies that learn from one record, and how their weights travel.

`learner.population` has a number for each policy. The first is called "policy", the others
"policy-2", "policy-3"; the record names them as the sources of what they made. Their weights travel
together, as one set of arrays: those of the first under their own names, those of the others with a
prefix. So whatever passes weights on needs to know of one policy only.
"""

from __future__ import annotations

from collections.abc import Sequence

from sequence_tutor.distributed.types import POLICY, Weights


def policy_name(member: int) -> str:
    """The name of policy `member`, counted from 0."""
    return POLICY if member == 0 else f"{POLICY}-{member + 1}"


def is_policy(source: str) -> bool:
    """Whether a source of sequences is one of the policies."""
    base, _, number = source.partition("-")
    return base == POLICY and (source == POLICY or number.isdecimal())


def prefix_of(member: int) -> str:
    """What the names of a policy's arrays begin with, beside those of the first."""
    return "" if member == 0 else f"{policy_name(member)}/"


def joined(parts: Sequence[Weights]) -> Weights:
    """The arrays of all policies as one set."""
    return {
        prefix_of(member) + name: array
        for member, part in enumerate(parts)
        for name, array in part.items()
    }


def part_of(weights: Weights, member: int) -> Weights:
    """The arrays of one policy under their own names; the inverse of `joined`."""
    prefix = prefix_of(member)
    if prefix:
        found = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    else:
        found = {k: v for k, v in weights.items() if not is_policy(k.partition("/")[0])}
    return found

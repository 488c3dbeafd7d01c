"""The molecule objective of Sequence Tutor (Jaques et al. 2017) as one component.

In its authors' units a valid molecule earns 600 + 10 quality at the end and an invalid one 0, with

    quality = -2 SA + 3 logP + 50 QED + 5 ring,   ring = -max(0, largest ring - 6)

and both also -200 below 19 tokens, else -25 below 27, and -150 for a C after 12 straight Cs.
Here reward = (raw - 600) / 10: quality for a valid molecule, -60 for an invalid one, and -20,
-2.5 and -15. The policy that maximises reward against KL doesn't change when reward and
temperature are divided by the same number and a constant is subtracted, so the authors' factor 0.35
belongs in the temperature.

Known differences and choices: the chain penalty is charged once per sequence, however often the
rule is broken; rings are RDKit's smallest set, where the authors took a cycle basis of the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby

from sequence_tutor.rewards.molecules.molecule import Molecule, parse
from sequence_tutor.rewards.registry import component

INVALID = -60.0
_CHAIN = 12


def quality(molecule: Molecule) -> float:
    """-2 SA + 3 logP + 50 QED + 5 ring."""
    return (
        -2.0 * molecule.sa + 3.0 * molecule.logp + 50.0 * molecule.qed + 5.0 * molecule.ring_penalty
    )


def penalties(tokens: Sequence[str]) -> float:
    """Penalties for length and carbon chains, in units of the reward; 0 or negative."""
    cost = 0.0
    if len(tokens) < 19:
        cost -= 20.0
    elif len(tokens) < 27:
        cost -= 2.5
    if any(token == "C" and len(list(run)) > _CHAIN for token, run in groupby(tokens)):
        cost -= 15.0
    return cost


def invalid(tokens: Sequence[str]) -> float:
    """The terminal reward of an invalid sequence: -60 and the penalties."""
    return INVALID + penalties(tokens)


@lru_cache(maxsize=20_000)
def _prefix_term(text: str) -> float:
    # sequences of a batch share their short prefixes, so the cache saves much of the work
    mol = parse(text)
    return -0.5 if mol is None else (5.0 + quality(Molecule(text, mol))) / 10.0


def prefixes(tokens: Sequence[str]) -> list[float]:
    """T rewards, one per token: entry t is for the first t tokens, that is, before action t.

    (5 + quality) / 10 where they parse, else -0.5; 0 at t = 0. The whole sequence isn't among them,
    since the terminal reward pays for it. So a reward depends only on the state and on whether the
    action ends the sequence.
    """
    return [_prefix_term("".join(tokens[:t])) if t else 0.0 for t in range(len(tokens))]


@component(
    "sequence_tutor",
    domain="molecules",
    invalid=invalid,
    prefixes=prefixes,
    reference="Jaques et al. 2017, https://arxiv.org/abs/1611.02796",
)
def sequence_tutor(molecule: Molecule, prefix_terms: bool = False) -> float:
    """The objective of the Sequence Tutor paper: quality and penalties, see below.

    prefix_terms: also pay for beginnings that are molecules.
    """
    return quality(molecule) + penalties(molecule.tokens)

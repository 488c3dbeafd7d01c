"""Physical and chemical properties of a molecule, and estimates of how useful it is."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import cache

from rdkit.Chem import Descriptors, rdMolDescriptors

from sequence_tutor.rewards.molecules.molecule import Molecule
from sequence_tutor.rewards.registry import component

# means and standard deviations over ZINC250k, from the literature on penalised logP
_LOGP = (2.4570953396190123, 1.434324401111988)
_SA = (-3.0525811293166134, 0.8335207024513095)
_RING = (-0.0485696876403053, 0.2860212110245455)

WILDMAN = "Wildman and Crippen 1999, https://doi.org/10.1021/ci990307l"
ERTL_SA = "Ertl and Schuffenhauer 2009, https://doi.org/10.1186/1758-2946-1-8"


@component("validity", domain="molecules", bounded=True)
def validity(molecule: Molecule) -> float:
    """1, since components are called for valid sequences only."""
    return 1.0


@component("logp", domain="molecules", reference=WILDMAN)
def logp(molecule: Molecule) -> float:
    """Crippen's logP: octanol-water partition coefficient, log10."""
    return molecule.logp


@component(
    "qed",
    domain="molecules",
    bounded=True,
    reference="Bickerton et al. 2012, https://doi.org/10.1038/nchem.1243",
)
def qed(molecule: Molecule) -> float:
    """Drug-likeness."""
    return molecule.qed


@component("sa", domain="molecules", least=1.0, most=10.0, reference=ERTL_SA)
def sa(molecule: Molecule) -> float:
    """Synthetic accessibility, 1 easy to 10 hard."""
    return molecule.sa


@component("ring_penalty", domain="molecules", most=0.0)
def ring_penalty(molecule: Molecule) -> float:
    """-max(0, atoms in the largest ring - 6)."""
    return molecule.ring_penalty


@component(
    "penalised_logp",
    domain="molecules",
    reference="Kusner et al. 2017, https://arxiv.org/abs/1703.01925",
    example="normalized = true",
)
def penalised_logp(molecule: Molecule, normalized: bool = False) -> float:
    """logP - SA + ring penalty.

    normalized: from each term subtract its mean and divide by its standard deviation on ZINC250k.
    """
    parts = (molecule.logp, -molecule.sa, molecule.ring_penalty)
    if not normalized:
        return sum(parts)
    return sum((x - m) / s for x, (m, s) in zip(parts, (_LOGP, _SA, _RING), strict=True))


@component(
    "molecular_weight",
    domain="molecules",
    least=0.0,
    example='transform = { type = "double_sigmoid", low = 250, high = 450 }',
)
def molecular_weight(molecule: Molecule) -> float:
    """Average molecular weight, g/mol."""
    return float(Descriptors.MolWt(molecule.mol))  # type: ignore[attr-defined]


@component(
    "tpsa",
    domain="molecules",
    least=0.0,
    reference="Ertl et al. 2000, https://doi.org/10.1021/jm000942e",
    example='transform = { type = "reverse_sigmoid", low = 90, high = 140 }',
)
def tpsa(molecule: Molecule, include_s_and_p: bool = False) -> float:
    """Topological polar surface area, square angstrom.

    include_s_and_p: count sulphur and phosphorus too, not only nitrogen and oxygen.
    """
    if include_s_and_p:
        return float(rdMolDescriptors.CalcTPSA(molecule.mol, includeSandP=True))
    return molecule.tpsa


@component("csp3", domain="molecules", bounded=True)
def csp3(molecule: Molecule) -> float:
    """Share of carbon atoms that are sp3; 0 without carbon."""
    return float(rdMolDescriptors.CalcFractionCSP3(molecule.mol))


@cache
def descriptors() -> dict[str, Callable[..., float]]:
    """RDKit's descriptors by name, in its order."""
    return dict(Descriptors._descList)


def check_descriptor(descriptor: str) -> None:
    """Raises ValueError with one sentence for a name that RDKit doesn't have."""
    if descriptor not in descriptors():
        # the 217 names themselves would be no sentence
        near = difflib.get_close_matches(descriptor, descriptors(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"descriptor = {descriptor!r} is none of RDKit's {len(descriptors())}{hint}"
        )


@component(
    "descriptor",
    domain="molecules",
    check=check_descriptor,
    reference="https://www.rdkit.org/docs/GettingStartedInPython.html#list-of-available-descriptors",
    example='descriptor = "BalabanJ"',
)
def descriptor(molecule: Molecule, *, descriptor: str) -> float:
    """Any of RDKit's descriptors, in its own unit.

    A molecule for which the descriptor isn't defined (NaN) fails.

    descriptor: RDKit's name, such as "BalabanJ", "BertzCT" or "fr_amide".
    """
    return float(descriptors()[descriptor](molecule.mol))

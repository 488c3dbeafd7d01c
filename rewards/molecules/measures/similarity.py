"""Similarity of a molecule to references, by fingerprints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from rdkit import DataStructs

from sequence_tutor.rewards.molecules.fingerprints import FINGERPRINTS
from sequence_tutor.rewards.molecules.identity import identify
from sequence_tutor.rewards.molecules.molecule import Molecule, parse
from sequence_tutor.rewards.registry import component, unknown

MEASURES = ("tanimoto", "tversky", "dice")
CHOICES: dict[str, Callable[[Sequence[float]], float]] = {
    "best": max,
    "mean": lambda values: sum(values) / len(values),
}


@lru_cache(maxsize=256)
def reference(smiles: str) -> Molecule:
    """The molecule of an option `smiles`. Raises ValueError with one sentence for another text."""
    mol = parse(smiles)
    if mol is None:
        blank = " alone, without blanks, a name or an extension" if len(smiles.split()) > 1 else ""
        raise ValueError(f"smiles = {smiles!r} is not a valid molecule{blank}")
    return Molecule(smiles, mol)


@lru_cache(maxsize=64)
def references(smiles: tuple[str, ...]) -> tuple[Molecule, ...]:
    """The molecules of an option `smiles` that may be a list. Raises as `reference`, and for an
    empty list."""
    if not smiles:
        raise ValueError("smiles needs at least one molecule")
    return tuple(map(reference, smiles))


def as_tuple(smiles: str | list[str]) -> tuple[str, ...]:
    """One SMILES or several."""
    return (smiles,) if isinstance(smiles, str) else tuple(smiles)


def _check_similarity(
    smiles: str | list[str],
    radius: int = 2,
    counts: bool = True,
    folded: bool = True,
    fingerprint: str = "morgan",
    measure: str = "tanimoto",
    alpha: float = 0.5,
    beta: float = 0.5,
    of: str = "best",
) -> None:
    references(as_tuple(smiles))
    if radius < 0:
        raise ValueError(f"radius must not be negative, got {radius}")
    for key, given, allowed in (
        ("fingerprint", fingerprint, FINGERPRINTS),
        ("measure", measure, MEASURES),
        ("of", of, CHOICES),
    ):
        if given not in allowed:
            raise ValueError(unknown(key, given, allowed))
    if not (alpha >= 0 and beta >= 0 and 0 < alpha + beta < float("inf")):
        raise ValueError(
            "alpha and beta must not be negative, and not both 0, "
            f"got alpha = {alpha} and beta = {beta}"
        )


def _compared(
    own: Any, others: list[Any], measure: str, alpha: float, beta: float
) -> Sequence[float]:
    """Similarity to each of the others."""
    if measure == "tanimoto":
        return DataStructs.BulkTanimotoSimilarity(own, others)
    if measure == "dice":
        return DataStructs.BulkDiceSimilarity(own, others)
    # RDKit's first weight is that of its first argument, here the molecule
    return DataStructs.BulkTverskySimilarity(own, others, beta, alpha)


@component(
    "similarity",
    domain="molecules",
    bounded=True,
    check=_check_similarity,
    reference="Rogers and Hahn 2010, https://doi.org/10.1021/ci100050t",
    example='smiles = "CC(=O)Oc1ccccc1C(=O)O", radius = 3, fingerprint = "fcfp"',
)
def similarity(
    molecule: Molecule,
    *,
    smiles: str | list[str],
    radius: int = 2,
    counts: bool = True,
    folded: bool = True,
    fingerprint: str = "morgan",
    measure: str = "tanimoto",
    alpha: float = 0.5,
    beta: float = 0.5,
    of: str = "best",
) -> float:
    """Similarity of fingerprints to one or several references; by default Tanimoto and ECFP4.

    smiles: the reference, or a list of them.
    radius: bonds around each atom, for "morgan" and "fcfp"; 2 is ECFP4 and FCFP4.
    counts: compare how often each fragment occurs; else only whether it occurs. MACCS keys and
    pharmacophores have no counts.
    folded: with counts = false, whether fragments share 2048 bits; false keeps all apart. MACCS
    keys and pharmacophores always have a bit each.
    fingerprint: "morgan" (environments of atoms), "fcfp" (the same by the atoms' roles),
    "atom_pairs", "maccs", "topological" (RDKit's paths of 1 to 7 bonds) or "pharmacophores" (pairs
    and triples of donors, acceptors, rings, ... by their distance in bonds, Gobbi and Poppinger).
    measure: "tanimoto", "dice" or "tversky": c / (c + alpha r + beta m), of c common fragments, r
    of the reference alone and m of the molecule alone.
    alpha: weight of what only the reference has, for "tversky".
    beta: weight of what only the molecule has, for "tversky".
    of: "best", the most similar reference, or "mean", the mean over the references.
    """
    kind = (fingerprint, radius, counts, folded)
    others = [one.fingerprint_of(*kind) for one in references(as_tuple(smiles))]
    found = _compared(molecule.fingerprint_of(*kind), others, measure, alpha, beta)
    return float(CHOICES[of](found))


def _edits(one: str, other: str) -> int:
    """The least number of characters to insert, delete or replace that makes one of the other
    (Levenshtein 1966), by dynamic programming."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


def _check_edits(smiles: str | list[str]) -> None:
    references(as_tuple(smiles))


@component(
    "levenshtein",
    domain="molecules",
    bounded=True,
    check=_check_edits,
    reference="https://en.wikipedia.org/wiki/Levenshtein_distance",
    example='smiles = "CC(=O)Oc1ccccc1C(=O)O"',
)
def levenshtein(molecule: Molecule, *, smiles: str | list[str]) -> float:
    """1 - edits between the canonical SMILES and that of a reference, by the longer one's length.

    A comparison of texts: molecules that a chemist calls similar may have very different SMILES.

    smiles: the reference; of a list, the most similar one counts.
    """
    own = str(identify(molecule.smiles).key)
    others = [str(identify(one.smiles).key) for one in references(as_tuple(smiles))]
    return max(1.0 - _edits(own, other) / max(len(own), len(other)) for other in others)

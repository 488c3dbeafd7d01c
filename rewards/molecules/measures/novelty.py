"""What a molecule has in common with the molecules of a file."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from rdkit import DataStructs

from sequence_tutor.rewards.file_data import (
    FileData,
    digest_of,
    pin_file,
    require_digest,
)
from sequence_tutor.rewards.molecules.fingerprints import fingerprint
from sequence_tutor.rewards.molecules.identity import identify
from sequence_tutor.rewards.molecules.molecule import Molecule, parse
from sequence_tutor.rewards.registry import component

T = TypeVar("T")
Words = NDArray[np.uint64]
# Molecules that are compared at a time: few enough for the intermediate arrays to stay in a cache.
BLOCK = 4_096


def packed(bits: DataStructs.ExplicitBitVect) -> Words:
    """The bits of a fingerprint, uint64 [bits / 64]."""
    return np.frombuffer(DataStructs.BitVectToBinaryText(bits), np.uint64)


def _read_each(path: str, read: Callable[[str], T | None]) -> list[T]:
    """What `read` makes of each SMILES of a file; None stands for an invalid one. Raises ValueError
    with one sentence where there is an invalid one, or none at all."""
    found = []
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            smiles = line.split()[0]
            if (one := read(smiles)) is None:
                raise ValueError(f"line {number}, {smiles[:60]!r}, is not a valid molecule")
            found.append(one)
    if not found:
        raise ValueError("it has no molecules")
    return found


def _read_corpus(path: str, radius: int) -> tuple[Words, NDArray[np.int64]]:
    """Fingerprints of the molecules of a file, uint64 [N,32], and the number of bits in each, int64
    [N]. Raises as `_read_each`."""

    def bits(smiles: str) -> Words | None:
        if (mol := parse(smiles)) is None:
            return None
        return packed(fingerprint(mol, "morgan", radius, counts=False, folded=True))

    rows = _read_each(path, bits)
    words = np.stack(rows)
    return words, np.bitwise_count(words).sum(axis=1, dtype=np.int64)


_CORPORA = FileData(_read_corpus)


def nearest(own: Words, corpus: Words, sizes: NDArray[np.int64]) -> float:
    """The greatest Tanimoto similarity of a fingerprint to those of a corpus, 0 to 1."""
    size, best = int(np.bitwise_count(own).sum()), 0.0
    for start in range(0, len(corpus), BLOCK):
        block = slice(start, start + BLOCK)
        common = np.bitwise_count(corpus[block] & own).sum(axis=1, dtype=np.int64)
        # a fingerprint always has a bit, since every molecule has an atom
        best = max(best, float((common / (sizes[block] + size - common)).max()))
    return best


def _check_novelty(file: str, radius: int = 2) -> None:
    if radius < 0:
        raise ValueError(f"radius must not be negative, got {radius}")
    _CORPORA.refresh(file, radius)


@component(
    "novelty",
    domain="molecules",
    bounded=True,
    check=_check_novelty,
    example='file = "known.smi"',
)
def novelty(molecule: Molecule, *, file: str, radius: int = 2) -> float:
    """1 - Tanimoto similarity to the nearest molecule of a file; 0 for one that is in it.

    The file is read once, when the reward is built: about a minute and 64 MB for
    250,000 molecules, which a molecule is then compared with in 20 ms.

    file: text, also .gz; the first word of each line is a SMILES, and each must be valid.
    radius: bonds around each atom; 2 compares ECFP4, 2048 bits.
    """
    corpus, sizes = _CORPORA.get(file, radius)
    return 1.0 - nearest(packed(molecule.fingerprint(radius)), corpus, sizes)


def _number(key: str) -> int:
    """A number of 64 bits for a canonical form; among a billion molecules a new one has that of
    another with a chance of 1e-10."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big")


def _read_list(path: str) -> NDArray[np.uint64]:
    """Numbers of the molecules of a file, uint64 [N] and rising. Raises as `_read_each`."""

    def number(smiles: str) -> int | None:
        key = identify(smiles).key
        return None if key is None else _number(key)

    return np.unique(np.array(_read_each(path, number), np.uint64))


_LISTS = FileData(_read_list)


def _check_listed(file: str, sha256: str | None = None) -> None:
    if sha256 is not None:
        require_digest(f"file = {file!r}", digest_of(file), sha256)
    _LISTS.refresh(file)


@component(
    "listed",
    domain="molecules",
    bounded=True,
    check=_check_listed,
    pin=pin_file,
    example='file = "known.smi"',
)
def listed(molecule: Molecule, *, file: str, sha256: str | None = None) -> float:
    """1 where the molecule is in a file, such as a supplier's catalogue, else 0.

    Stereochemistry and charge must agree. The file is read once, when the reward is built: about
    two minutes and 2 MB for 250,000 molecules.

    file: text, also .gz; the first word of each line is a SMILES, and each must be valid.
    sha256: SHA-256 of the file; a run writes it into its config, and refuses a file that has
    changed.
    """
    numbers, key = _LISTS.get(file), identify(molecule.smiles).key
    assert key is not None  # the molecule is valid
    own = np.uint64(_number(key))
    place = int(np.searchsorted(numbers, own))
    return float(place < len(numbers) and numbers[place] == own)


def _fragments(found: Any) -> set[int]:
    """Numbers of the fragments in sparse counts."""
    return set(found.GetNonzeroElements())


def _read_fragments(path: str, radius: int) -> frozenset[int]:
    """Numbers of all fragments that occur in a file. Raises as `_read_each`."""
    seen: set[int] = set()

    def add(smiles: str) -> bool | None:
        if (mol := parse(smiles)) is None:
            return None
        seen.update(_fragments(fingerprint(mol, "morgan", radius, counts=True, folded=True)))
        return True

    _read_each(path, add)
    return frozenset(seen)


_SEEN = FileData(_read_fragments)


def _check_unseen(file: str, radius: int = 2, sha256: str | None = None) -> None:
    if radius < 0:
        raise ValueError(f"radius must not be negative, got {radius}")
    if sha256 is not None:
        require_digest(f"file = {file!r}", digest_of(file), sha256)
    _SEEN.refresh(file, radius)


@component(
    "unseen_fragments",
    domain="molecules",
    bounded=True,
    check=_check_unseen,
    pin=pin_file,
    reference="https://github.com/PatWalters/silly_walks",
    example='file = "known.smi"',
)
def unseen_fragments(
    molecule: Molecule, *, file: str, radius: int = 2, sha256: str | None = None
) -> float:
    """Share of the molecule's kinds of fragments that no molecule of a file has ("silly bits").

    The file is read once, when the reward is built: about a minute for 250,000 molecules.

    file: text, also .gz; the first word of each line is a SMILES, and each must be valid.
    radius: bonds around each atom; 2 looks at the fragments of ECFP4.
    sha256: as that of `listed`.
    """
    own = _fragments(molecule.fingerprint_of("morgan", radius))
    return len(own - _SEEN.get(file, radius)) / len(own)

"""How far a molecule is from all molecules of a file."""

from __future__ import annotations

import gzip

import numpy as np
from numpy.typing import NDArray
from rdkit import DataStructs

from sequence_tutor.rewards.molecules.fingerprints import fingerprint
from sequence_tutor.rewards.molecules.measures.file_data import FileData
from sequence_tutor.rewards.molecules.molecule import Molecule, parse
from sequence_tutor.rewards.registry import component

Words = NDArray[np.uint64]
# Molecules that are compared at a time: few enough for the intermediate arrays to stay in a cache.
BLOCK = 4_096


def packed(bits: DataStructs.ExplicitBitVect) -> Words:
    """The bits of a fingerprint, uint64 [bits / 64]."""
    return np.frombuffer(DataStructs.BitVectToBinaryText(bits), np.uint64)


def _read_corpus(path: str, radius: int) -> tuple[Words, NDArray[np.int64]]:
    """Fingerprints of the molecules of a file, uint64 [N,32], and the number of bits in each, int64
    [N]. Raises ValueError with one sentence."""
    rows = []
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            smiles = line.split()[0]
            if (mol := parse(smiles)) is None:
                raise ValueError(f"line {number}, {smiles[:60]!r}, is not a valid molecule")
            rows.append(packed(fingerprint(mol, "morgan", radius, counts=False, folded=True)))
    if not rows:
        raise ValueError("it has no molecules")
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

"""Counts of fragments, by which a model compares molecules."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from rdkit.Chem import rdFingerprintGenerator

from sequence_tutor.rewards.molecules.identity import identify
from sequence_tutor.rewards.molecules.molecule import morgan

PLACES = 2_048


@cache
def _atom_pairs() -> Any:
    return rdFingerprintGenerator.GetAtomPairGenerator(fpSize=PLACES)


def fragment_counts(smiles: Sequence[str]) -> list[np.ndarray]:
    """Counts of Morgan environments of radius 2, and of atom pairs, each uint8 [B,2048]; above 255
    they are 255. Stereochemistry makes no difference. Raises ValueError for a SMILES that isn't
    valid.

    Environments: Rogers and Hahn 2010, J. Chem. Inf. Model. 50, 742. Pairs: Carhart et al. 1985,
    J. Chem. Inf. Comput. Sci. 25, 64.
    """
    generators = morgan(2), _atom_pairs()
    blocks = [np.zeros((len(smiles), PLACES), np.uint8) for _ in generators]
    for row, text in enumerate(smiles):
        mol = identify(text).mol  # cached where the molecule was just made
        if mol is None:
            raise ValueError(f"{text[:60]!r} is not a valid molecule")
        for block, generator in zip(blocks, generators, strict=True):
            block[row] = np.minimum(generator.GetCountFingerprintAsNumPy(mol), 255)
    return blocks

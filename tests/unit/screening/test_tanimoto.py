"""The kernel of counts against RDKit, and kept rows against a fresh computation."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from sequence_tutor.distributed.screening.tanimoto import Comparison, Indicators
from sequence_tutor.rewards.domains import domain_of

DRUGS = [
    "Cc1ccc(-c2cc(C(F)(F)F)nn2-c2ccc(S(N)(=O)=O)cc2)cc1",
    "CCCc1nn(C)c2c(=O)[nH]c(-c3cc(S(=O)(=O)N4CCN(C)CC4)ccc3OCC)nc12",
    "CCN(C(C)=O)c1cccc(-c2ccnc3c(C#N)cnn23)c1",
    "CC(=O)Oc1ccccc1C(=O)O",
    "CN1C=NC2=C1C(=O)N(C)C(=O)N2C",
    "OCC" * 12,
    "CCCCCCCCCCCCCCCCCCCC",
    "CC",
]


def rdkits(molecules: list[str], others: list[str]) -> list[np.ndarray]:
    """float64 [M,N] by RDKit's own comparison of sparse counts, for both fingerprints."""
    kernels = []
    for generator in (
        rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048),
        rdFingerprintGenerator.GetAtomPairGenerator(fpSize=2048),
    ):
        rows, columns = (
            [generator.GetCountFingerprint(Chem.MolFromSmiles(s)) for s in chosen]
            for chosen in (others, molecules)
        )
        kernels.append(np.array([DataStructs.BulkTanimotoSimilarity(r, columns) for r in rows]))
    return kernels


def test_the_kernel_is_that_of_rdkit(molecules: list[str]):
    """Of drugs with each other, and of others that have more of some fragments and new ones."""
    features = domain_of("smiles").features
    for few, others in ((DRUGS, DRUGS), (DRUGS[:4], [*DRUGS, *molecules[:50]]), (["CC"], DRUGS)):
        expected = rdkits(few, others)
        fragments = zip(features(few)[:2], features(others)[:2], expected, strict=True)
        for counts, asked, wanted in fragments:
            found = Indicators(counts).kernel(asked)
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, wanted.astype(np.float32))


def test_control_binary_fingerprints_give_another_kernel():
    counts = domain_of("smiles").features(DRUGS)[0]
    found = Indicators(np.minimum(counts, 1)).kernel(np.minimum(counts, 1))
    assert np.abs(found - rdkits(DRUGS, DRUGS)[0]).max() > 0.05


def test_empty_and_full_counts():
    counts = np.array([[0, 0], [255, 0], [255, 255], [1, 2]], np.uint8)
    kernel = Indicators(counts).kernel(counts)
    low = np.minimum(counts[:, None], counts[None]).sum(2, dtype=float)
    high = np.maximum(counts[:, None], counts[None]).sum(2, dtype=float)
    expected = np.where(high > 0, low / np.maximum(high, 1), 1.0)
    np.testing.assert_array_equal(kernel, expected.astype(np.float32))
    assert kernel[0, 0] == 1 and kernel[0, 1] == 0
    assert Indicators(counts[:0]).kernel(counts).shape == (4, 0)


@pytest.mark.parametrize("places", [3, 200])
def test_kept_rows_equal_a_fresh_computation(places: int):
    """In rounds that add rows, drop some and change their order."""
    random = np.random.default_rng(0)
    counts = [random.poisson(0.7, (60, n)).astype(np.uint8) for n in (places, places + 1)]
    kept = Comparison()
    for rows in (range(20), [3, 1, 30, 19, 31, 0], range(60), [59], [5, 59, 4], []):
        keys, blocks = [f"key {i}" for i in rows], [c[list(rows)] for c in counts]
        found, fresh = kept.take(keys, blocks), Comparison().take(keys, blocks)
        for one, other, block in zip(found, fresh, blocks, strict=True):
            np.testing.assert_array_equal(one, other)
            np.testing.assert_array_equal(one, Indicators(block).kernel(block))

"""What models are given of a molecule, against RDKit called directly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_files import BITS, MOLECULES, as_bytes, linear_onnx
from rdkit import Chem
from rdkit.Chem import Descriptors, MACCSkeys, rdFingerprintGenerator

from sequence_tutor.rewards import score_one


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bits_of(smiles: str) -> np.ndarray:
    """64 Morgan bits of radius 2, from RDKit."""
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=64)
    return np.asarray(generator.GetFingerprintAsNumPy(Chem.MolFromSmiles(smiles)), np.float64)


MORGAN, PAIRS = (
    rdFingerprintGenerator.GetMorganGenerator,
    rdFingerprintGenerator.GetAtomPairGenerator,
)
PATHS = rdFingerprintGenerator.GetRDKitFPGenerator
ROLES = rdFingerprintGenerator.GetMorganFeatureAtomInvGen


def _descriptors(*names: str) -> Callable[[Chem.Mol], list[float]]:
    return lambda mol: [getattr(Descriptors, name)(mol) for name in names]


@pytest.mark.parametrize(
    ("features", "direct"),
    [
        ("morgan", [MORGAN(radius=2).GetFingerprint]),
        ({"type": "morgan", "radius": 3}, [MORGAN(radius=3).GetFingerprint]),
        (
            {"type": "morgan", "radius": 1, "bits": 512, "counts": True, "chirality": True},
            [MORGAN(radius=1, fpSize=512, includeChirality=True).GetCountFingerprint],
        ),
        ("fcfp", [MORGAN(radius=2, atomInvariantsGenerator=ROLES()).GetFingerprint]),
        ("atom_pairs", [PAIRS().GetFingerprint]),
        ({"type": "atom_pairs", "counts": True}, [PAIRS().GetCountFingerprint]),
        (
            {"type": "atom_pairs", "counts": True, "max_distance": 4, "bits": 100},
            [PAIRS(maxDistance=4, fpSize=100).GetCountFingerprint],
        ),
        ("topological", [PATHS().GetFingerprint]),
        (
            {"type": "topological", "max_path": 4, "counts": True},
            [PATHS(maxPath=4).GetCountFingerprint],
        ),
        ("maccs", [MACCSkeys.GenMACCSKeys]),
        (
            {"type": "descriptors", "names": ["MolLogP", "TPSA"]},
            [_descriptors("MolLogP", "TPSA")],
        ),
        (
            ["maccs", {"type": "descriptors", "names": ["qed", "MolWt"]}, "morgan"],
            [MACCSkeys.GenMACCSKeys, _descriptors("qed", "MolWt"), MORGAN(radius=2).GetFingerprint],
        ),
        ("descriptors", [_descriptors(*(name for name, _ in Descriptors.descList))]),
    ],
    ids=lambda one: str(one) if isinstance(one, str | dict) else "",
)
def test_features_are_those_of_rdkit(features: Any, direct: Any) -> None:
    """A linear model with random weights tells any two rows of numbers apart."""
    rows = np.array(
        [
            [float(x) for part in direct for x in part(Chem.MolFromSmiles(smiles))]
            for smiles in MOLECULES
        ]
    )
    weights = np.random.default_rng(0).normal(size=rows.shape[1])
    # descriptors differ by orders of magnitude: each counts alike
    weights /= np.maximum(np.abs(rows).max(axis=0), 1.0)
    Path("m.onnx").write_bytes(linear_onnx(weights))
    values = [score_one("model", s, file="m.onnx", features=features) for s in MOLECULES]
    assert np.allclose(values, rows @ weights, rtol=1e-4, atol=1e-4)
    assert not np.allclose(values, rows @ weights[::-1], rtol=1e-2, atol=1e-2)  # control


@pytest.mark.parametrize("kind", [TensorProto.DOUBLE, TensorProto.INT64, TensorProto.FLOAT16])
def test_inputs_of_other_types(kind: int) -> None:
    Path("m.onnx").write_bytes(linear_onnx(np.arange(64.0), kind=kind, shape=[1, 64]))
    for smiles in MOLECULES:
        value = score_one("model", smiles, file="m.onnx", features=BITS)
        assert value == bits_of(smiles) @ np.arange(64.0)


@pytest.mark.parametrize("shape", [["n"], ["n", 1], [1]])
def test_a_model_that_reads_smiles(shape: list[Any]) -> None:
    """It gets the canonical form."""
    node = helper.make_node(
        "LabelEncoder",
        ["text"],
        ["y"],
        domain="ai.onnx.ml",
        keys_strings=["CCO", "c1ccccc1"],
        values_floats=[1.5, 2.5],
        default_float=-1.0,
    )
    given = helper.make_tensor_value_info("text", TensorProto.STRING, shape)
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
    Path("m.onnx").write_bytes(as_bytes([node], [given], [made]))
    options: dict[str, Any] = {"file": "m.onnx", "features": "smiles"}
    for smiles, value in (("OCC", 1.5), ("[CH3:1]CO", 1.5), ("C1=CC=CC=C1", 2.5), ("C", -1)):
        assert score_one("model", smiles, **options) == value
    with pytest.raises(ValueError, match="it takes SMILES, and features give morgan 2048"):
        score_one("model", "C", file="m.onnx")


def test_ensembles() -> None:
    files = [f"{n}.onnx" for n in range(3)]
    for n, file in enumerate(files):
        Path(file).write_bytes(linear_onnx(np.full(64, n**2)))
    for smiles in MOLECULES:
        each = bits_of(smiles).sum() * np.array([0, 1, 4])
        options: dict[str, Any] = {"file": files, "features": BITS}
        assert score_one("model", smiles, **options) == pytest.approx(each.mean())
        assert score_one("model", smiles, value="std", **options) == pytest.approx(each.std())


def test_a_descriptor_that_is_not_defined_fails_the_molecule() -> None:
    names = ["MolWt", "BCUT2D_MWHI"]
    Path("m.onnx").write_bytes(linear_onnx([1.0, 1.0]))
    options: dict[str, Any] = {
        "file": "m.onnx",
        "features": {"type": "descriptors", "names": names},
    }
    assert score_one("model", "CCO", **options) > 0
    with pytest.raises(ValueError, match="descriptor BCUT2D_MWHI isn't defined"):
        score_one("model", "C[Se]C", **options)
    Path("m.onnx").write_bytes(linear_onnx([1.0], kind=TensorProto.FLOAT16))
    options["features"] = {"type": "descriptors", "names": ["Ipc"]}
    with pytest.raises(ValueError, match=r"too large for tensor\(float16\)"):
        score_one("model", "C" * 40, **options)

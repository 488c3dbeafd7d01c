"""Trained models as components, against scikit-learn, onnxruntime and RDKit called directly."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import skops.io
from onnx import TensorProto, helper
from onnx_files import BITS, MOLECULES, as_bytes, linear_onnx
from rdkit import Chem
from rdkit.Chem import Descriptors, rdFingerprintGenerator
from skl2onnx import to_onnx
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from sequence_tutor.rewards import score_one
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.isolation.reward import IsolatedReward
from sequence_tutor.rewards.molecules.models.answer import Wanted
from sequence_tutor.rewards.molecules.models.skops_model import SkopsModel

TREE = "sklearn.tree._tree.Tree"


def bits_of(smiles: str, **options: Any) -> np.ndarray:
    """Morgan bits of radius 2, from RDKit."""
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=64, **options)
    return np.asarray(generator.GetFingerprintAsNumPy(Chem.MolFromSmiles(smiles)), np.float64)


@cache
def trained(kind: str) -> Any:
    """A model of 64 bits that was fitted to the sum of some of them."""
    random = np.random.default_rng(0)
    x = random.integers(0, 2, (120, 64)).astype(np.float64)
    y = x[:, :6].sum(axis=1)
    classes = np.where(y > 3, "binds", np.where(y < 2, "doesn't", "some"))
    models: dict[str, Callable[[], Any]] = {
        "linear": lambda: LinearRegression().fit(x, y),
        "targets": lambda: LinearRegression().fit(x, np.stack([y, -y, x[:, 0]], axis=1)),
        "pipeline": lambda: make_pipeline(StandardScaler(), Ridge()).fit(x, y),
        "forest": lambda: RandomForestClassifier(8, random_state=0, n_jobs=2).fit(x, classes),
        "boosting": lambda: HistGradientBoostingRegressor(max_iter=5).fit(x, y),
        "two": lambda: LogisticRegression().fit(x, (y > 2).astype(int)),
        "margin": lambda: LinearSVC().fit(x, classes),
    }
    return models[kind]()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dump(kind: str, file: str = "m.skops") -> dict[str, Any]:
    """Write a model; returns the options that name it."""
    skops.io.dump(trained(kind), file)
    trusted = skops.io.get_untrusted_types(file=file)
    return {"file": file, "features": BITS} | ({"trusted": trusted} if trusted else {})


@pytest.mark.parametrize(
    ("kind", "options", "place_of"),
    [
        ("linear", {}, 0),
        ("pipeline", {"kind": "regression"}, 0),
        ("boosting", {}, 0),
        ("targets", {"column": 1}, 1),
        ("forest", {}, 2),  # the last class
        ("forest", {"column": "binds"}, 0),
        ("forest", {"column": "doesn't", "kind": "probability"}, 1),
        ("two", {}, 1),
        ("two", {"column": 0}, 0),
    ],
)
def test_scikit_learn(kind: str, options: dict[str, Any], place_of: int, place: Path) -> None:
    own, given = trained(kind), dump(kind) | options
    predict = getattr(own, "predict_proba", own.predict)
    values = []
    for smiles in MOLECULES:
        direct = np.asarray(predict(bits_of(smiles)[None])).reshape(-1)[place_of]
        values.append(score_one("model", smiles, **given))
        assert values[-1] == pytest.approx(direct, abs=1e-12)
    assert len(set(values)) > 1


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("column", [None, "binds"])
def test_a_classifier_as_onnx(zipped: bool, column: str | None, place: Path) -> None:
    own = trained("forest")
    found = to_onnx(own, np.zeros((1, 64), np.float32), options={"zipmap": zipped})
    Path("m.onnx").write_bytes(found.SerializeToString())
    session = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    options: dict[str, Any] = {"file": "m.onnx", "features": BITS}
    if column is not None:  # without ZipMap the columns have no names
        options["column"] = column if zipped else 0
    for smiles in MOLECULES:
        bits = bits_of(smiles)[None]
        value = score_one("model", smiles, **options)
        row = session.run(None, {"X": bits.astype(np.float32)})[1][0]
        chosen = column or "some"
        assert value == (row[chosen] if zipped else row[list(own.classes_).index(chosen)])
        probability = own.predict_proba(bits)[0, list(own.classes_).index(chosen)]
        assert value == pytest.approx(probability, abs=1e-5)


def test_a_regressor_as_onnx(place: Path) -> None:
    for kind, options, place_of in (("pipeline", {}, 0), ("targets", {"column": 2}, 2)):
        found = to_onnx(trained(kind), np.zeros((1, 64), np.float32))
        Path("m.onnx").write_bytes(found.SerializeToString())
        for smiles in MOLECULES:
            direct = trained(kind).predict(bits_of(smiles)[None]).reshape(-1)[place_of]
            value = score_one("model", smiles, file="m.onnx", features=BITS, **options)
            assert value == pytest.approx(direct, abs=1e-4)


def test_a_pipeline_of_scikit_learn_that_reads_smiles(place: Path) -> None:
    reader = CountVectorizer(analyzer="char", lowercase=False)
    own = make_pipeline(reader, Ridge()).fit(MOLECULES, np.arange(5.0))
    skops.io.dump(own, "m.skops")
    trusted = skops.io.get_untrusted_types(file="m.skops")
    for smiles in MOLECULES:
        canonical = Chem.MolToSmiles(Chem.MolFromSmiles(smiles))
        value = score_one("model", smiles, file="m.skops", features="smiles", trusted=trusted)
        assert value == pytest.approx(own.predict([canonical])[0])


@pytest.fixture
def files(place: Path) -> Path:
    """Models that don't fit."""
    zeros = np.zeros(64)
    Path("m.onnx").write_bytes(linear_onnx(zeros))
    Path("wide.onnx").write_bytes(linear_onnx(zeros, shape=["n", "m"]))
    Path("three.onnx").write_bytes(linear_onnx(np.zeros((64, 3))))
    Path("probabilities.onnx").write_bytes(linear_onnx(np.full(64, 9.0), output="probability"))
    Path("batch.onnx").write_bytes(linear_onnx(zeros, shape=[32, 64]))
    Path("text.onnx").write_text("no model")
    skops.io.dump(trained("linear"), "linear.skops")
    skops.io.dump(trained("forest"), "forest.skops")
    skops.io.dump(trained("margin"), "margin.skops")
    skops.io.dump([1, 2], "list.skops")
    Path("m.onnx").rename("renamed.skops")
    Path("m.onnx").write_bytes(linear_onnx(zeros))
    floats = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 64]) for n in "abyz"]
    nodes = [helper.make_node("Add", ["a", "b"], ["y"])]
    Path("inputs.onnx").write_bytes(as_bytes(nodes, floats[:2], floats[2:3]))
    nodes = [helper.make_node("Neg", ["a"], ["y"]), helper.make_node("Abs", ["a"], ["z"])]
    Path("outputs.onnx").write_bytes(as_bytes(nodes, floats[:1], floats[2:]))
    outside = onnx.load("m.onnx")
    external = {"all_tensors_to_one_file": True, "location": "w.bin", "size_threshold": 0}
    onnx.save_model(outside, "outside.onnx", save_as_external_data=True, **external)
    return place


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"file": "none.onnx"}, "file = 'none.onnx' can't be read: No such file"),
        ({"file": []}, "file needs at least one model"),
        ({"file": "m.h5"}, "must end in .onnx or .skops"),
        ({"file": "text.onnx"}, "file = 'text.onnx': it is no ONNX model"),
        ({"file": "renamed.skops"}, "it is no skops file"),
        ({"file": "outside.onnx"}, "its weights are in a second file"),
        ({"file": "inputs.onnx"}, r"it has 2 inputs \(a, b\)"),
        ({"file": "outputs.onnx"}, r"it has 2 outputs \(y, z\): choose one with output = 'y'"),
        ({"file": "outputs.onnx", "output": "x"}, "unknown output 'x', allowed: y, z"),
        ({"file": "outputs.onnx", "output": 2}, "output = 2 must be from 0 to 1"),
        ({"file": "batch.onnx"}, r"has shape \[32, 64\], not one row per molecule"),
        ({"file": "three.onnx"}, "it gives 3 numbers for a molecule: choose one with column = 0"),
        ({"file": "three.onnx", "column": 3}, "column = 3 must be an index from 0 to 2"),
        ({"file": "three.onnx", "column": "logP"}, "column = 'logP' must be an index"),
        ({"file": "m.onnx", "trusted": [TREE]}, "trusted is for skops files"),
        ({"file": "m.onnx", "features": "maccs"}, r"takes 64 numbers, .* give 167 \(maccs 167\)"),
        ({"file": "wide.onnx", "features": "maccs"}, "file = 'wide.onnx': onnxruntime: "),
        ({"file": "linear.skops", "features": ["maccs", BITS]}, r"231 \(maccs 167 \+ morgan 64\)"),
        (
            {"file": ["m.onnx", "linear.skops"], "features": "morgan"},
            "file = 'm.onnx': it takes 64",
        ),
        ({"file": "m.onnx", "features": "smiles"}, "it takes numbers, and features give SMILES"),
        ({"file": "m.onnx", "features": []}, "features needs at least one entry"),
        ({"file": "m.onnx", "features": "ecfp"}, "type of features: 'ecfp', .* mean 'fcfp'"),
        ({"file": "m.onnx", "features": {"bits": 64}}, "an entry of features needs a type"),
        ({"file": "m.onnx", "features": ["smiles", "maccs"]}, "has no options and stands alone"),
        ({"file": "m.onnx", "features": BITS | {"radios": 2}}, "did you mean 'radius'"),
        ({"file": "m.onnx", "features": BITS | {"bits": 0}}, "bits of features 'morgan' must be"),
        ({"file": "m.onnx", "features": BITS | {"radius": -1}}, "radius must not be negative"),
        ({"file": "m.onnx", "features": BITS | {"counts": 1}}, "option 'counts' of features"),
        (
            {"file": "m.onnx", "features": {"type": "descriptors", "names": ["LogP"]}},
            "did you mean 'MolLogP'",
        ),
        ({"file": "m.onnx", "features": {"type": "descriptors", "names": []}}, "at least one"),
        ({"file": "m.onnx", "value": "sum"}, "unknown value 'sum'"),
        ({"file": "m.onnx", "value": "std"}, "needs several models"),
        ({"file": "m.onnx", "kind": "class"}, "unknown kind 'class'"),
        ({"file": "probabilities.onnx", "kind": "probability"}, ""),
        ({"file": "forest.skops"}, f'contains {TREE}, which .* write trusted = \\["{TREE}"\\]'),
        ({"file": "forest.skops", "trusted": [TREE], "column": "bind"}, "none of its classes"),
        ({"file": "forest.skops", "trusted": [TREE], "kind": "regression"}, "is a classifier"),
        ({"file": "linear.skops", "kind": "probability"}, "is a regressor"),
        ({"file": "linear.skops", "output": 0}, "output is for ONNX models"),
        ({"file": "margin.skops"}, "LinearSVC gives no probabilities"),
        ({"file": "list.skops"}, "it holds a list, which can't predict"),
        ({"file": "m.onnx", "sha256": "0" * 64}, "isn't the file of this run: its SHA-256 is"),
        ({"file": "m.onnx", "sha256": ["0", "1"]}, "one text for each of the 1 files"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    options: dict[str, Any], words: str, files: Path
) -> None:
    given = {"features": BITS} | options
    if options["file"] == "probabilities.onnx":  # only its answers show that it gives none
        assert score_one("model", "[He]", **given | {"kind": None}) > 1
        words = "the model gave 9, which is no probability"
    with pytest.raises(ValueError, match=words) as error:
        score_one("model", "[He]", **given)
    text = str(error.value)
    assert "model" in text and "\n" not in text and len(text) < 420


def test_a_pickle_is_refused_unread(place: Path) -> None:
    for ending in (".pkl", ".joblib", ".PICKLE", ".sav"):
        with pytest.raises(ValueError, match="is a pickle, which runs whatever") as error:
            score_one("model", "C", file=f"there/is_none{ending}")
        assert f"skops.io.dump(joblib.load('is_none{ending}'), 'is_none.skops')" in str(error.value)


def test_a_hostile_file_is_refused_unread(place: Path) -> None:
    """It holds a function that, when it is made, would leave a file."""
    from sklearn.preprocessing import FunctionTransformer

    own = make_pipeline(FunctionTransformer(Path("left").write_text), Ridge())
    try:
        skops.io.dump(own, "m.skops")
    except Exception:  # this version of skops writes no such function
        own = make_pipeline(FunctionTransformer(np.save), Ridge())
        skops.io.dump(own, "m.skops")
    with pytest.raises(ValueError, match="which skops doesn't trust|skops can't read"):
        score_one("model", "C", file="m.skops", features=BITS)
    assert not Path("left").exists()


def test_descriptors_in_another_order_are_refused(place: Path) -> None:
    pandas = pytest.importorskip("pandas")
    names = ["TPSA", "MolWt", "MolLogP"]
    table = pandas.DataFrame(np.random.default_rng(0).normal(size=(9, 3)), columns=names)
    skops.io.dump(LinearRegression().fit(table, table["MolWt"]), "m.skops")
    options: dict[str, Any] = {"file": "m.skops"}
    right = {"type": "descriptors", "names": names}
    value = score_one("model", "CCO", features=right, **options)
    assert value == pytest.approx(Descriptors.MolWt(Chem.MolFromSmiles("CCO")))
    with pytest.raises(ValueError, match="number 1 is TPSA there and MolLogP in features"):
        score_one("model", "CCO", features=right | {"names": names[::-1]}, **options)


@pytest.mark.nightly
def test_boosting_works_in_copied_processes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It uses OpenMP. The process that is copied must have started no thread of it, or its copies
    would wait for that for ever."""
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    part = {"name": "model", **dump("boosting")}
    config = RewardConfig.model_validate({"component": [part], "timeout_s": 10.0})
    with IsolatedReward(config, "molecules") as reward:
        there = reward.score(MOLECULES)
    assert there.errors == [""] * len(MOLECULES)
    direct = trained("boosting").predict(np.stack([bits_of(smiles) for smiles in MOLECULES]))
    assert np.allclose(there.rewards, direct, rtol=1e-12)


def test_a_forest_starts_no_threads(place: Path) -> None:
    """The one that was saved asks for two."""
    model = SkopsModel(Path(dump("forest")["file"]).read_bytes(), Wanted(), [TREE])
    before = len(os.listdir("/proc/self/task"))
    model.value(bits_of("CCO"))
    assert len(os.listdir("/proc/self/task")) == before

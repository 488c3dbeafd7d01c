"""A trained model as a component."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sequence_tutor.rewards.file_data import (
    FileData,
    digest_of,
    require_digest,
)
from sequence_tutor.rewards.molecules.models.answer import Model, Wanted
from sequence_tutor.rewards.molecules.models.inputs import Features, Inputs, inputs_of
from sequence_tutor.rewards.molecules.models.onnx_model import OnnxModel
from sequence_tutor.rewards.molecules.models.skops_model import SkopsModel
from sequence_tutor.rewards.molecules.molecule import Molecule
from sequence_tutor.rewards.registry import component, unknown

VALUES = ("mean", "std")
# Endings of pickles, which run what they contain.
PICKLES = (".pkl", ".pickle", ".joblib", ".sav")


class _File(NamedTuple):
    """What a file holds."""

    model: Model
    """The model."""
    digest: str
    """SHA-256 of the file's content, hexadecimal."""


def _read(path: str, wanted: Wanted, trusted: tuple[str, ...]) -> _File:
    ending = Path(path).suffix.lower()
    content = Path(path).read_bytes()
    if ending == ".onnx":
        if trusted:
            raise ValueError("trusted is for skops files: leave it out")
        model: Model = OnnxModel(content, wanted)
    else:
        model = SkopsModel(content, wanted, trusted)
    return _File(model, hashlib.sha256(content).hexdigest())


_MODELS = FileData(_read)


def _files(file: str | list[str]) -> tuple[str, ...]:
    """The files of the option `file`. Raises ValueError with one sentence."""
    files = (file,) if isinstance(file, str) else tuple(file)
    if not files:
        raise ValueError("file needs at least one model")
    for one in files:
        ending = Path(one).suffix.lower()
        if ending in PICKLES:
            raise ValueError(
                f"file = {one!r} is a pickle, which runs whatever it contains when it is read: "
                "convert it where you trust it, by skops.io.dump(joblib.load("
                f"{Path(one).name!r}), {Path(one).stem + '.skops'!r})"
            )
        if ending not in (".onnx", ".skops"):
            raise ValueError(f"file = {one!r} must end in .onnx or .skops")
    return files


@lru_cache(maxsize=16)
def _inputs(features: str) -> Inputs:
    return inputs_of(json.loads(features))


def _inputs_of(features: Features) -> Inputs:
    return _inputs(json.dumps(features))


def _check_inputs(model: Model, inputs: Inputs) -> None:
    """Raises ValueError where the model takes something else than the features."""
    if model.text is not None and model.text != inputs.text:
        takes = "SMILES" if model.text else "numbers"
        raise ValueError(f"it takes {takes}, and features give {inputs}")
    if model.width is not None and model.width != inputs.width and not inputs.text:
        raise ValueError(
            f"it takes {model.width} numbers, and features give {inputs.width} ({inputs})"
        )
    names, given = model.names, inputs.names
    if names and set(names) == set(given) and names != given:
        place = next(i for i, name in enumerate(names) if name != given[i])
        raise ValueError(
            f"it was trained on the same descriptors in another order: number {place + 1} is "
            f"{names[place]} there and {given[place]} in features"
        )
    # what its file doesn't say shows when it is asked
    model.value("c1ccccc1" if inputs.text else np.zeros(inputs.width))


def _check_model(
    file: str | list[str],
    features: Features = "morgan",
    output: str | int | None = None,
    column: str | int | None = None,
    kind: str | None = None,
    value: str = "mean",
    trusted: list[str] | None = None,
    sha256: str | list[str] | None = None,
) -> None:
    files, inputs = _files(file), _inputs_of(features)
    if value not in VALUES:
        raise ValueError(unknown("value", value, VALUES))
    if value == "std" and len(files) < 2:
        raise ValueError('value = "std" needs several models in file')
    pins = (sha256,) if isinstance(sha256, str) else tuple(sha256 or ())
    if pins and len(pins) != len(files):
        raise ValueError(f"sha256 must be one text for each of the {len(files)} files")
    wanted = Wanted(output, column, kind)
    for place, one in enumerate(files):
        found = _MODELS.refresh(one, wanted, tuple(trusted or ()))
        if pins:
            require_digest(f"file = {one!r}", found.digest, pins[place])
        try:
            _check_inputs(found.model, inputs)
        except ValueError as error:
            raise ValueError(f"file = {one!r}: {error}") from error


def _limits(kind: str | None = None, value: str = "mean", **_: object) -> tuple[float, float]:
    low = 0.0 if kind == "probability" or value == "std" else -np.inf
    return low, (1.0 if kind == "probability" else np.inf)


def _pin(
    file: str | list[str], sha256: str | list[str] | None = None, **_: object
) -> dict[str, Any]:
    if sha256 is not None:
        return {}
    digests = [digest_of(one) for one in _files(file)]
    return {"sha256": digests[0] if isinstance(file, str) else digests}


@component(
    "model",
    domain="molecules",
    check=_check_model,
    limits=_limits,
    pin=_pin,
    reference="https://onnx.ai; https://skops.readthedocs.io",
    example='file = "model.onnx", features = { type = "morgan", radius = 2, bits = 1024 }',
)
def model(
    molecule: Molecule,
    *,
    file: str | list[str],
    features: str | dict[str, Any] | list[str | dict[str, Any]] = "morgan",
    output: str | int | None = None,
    column: str | int | None = None,
    kind: str | None = None,
    value: str = "mean",
    trusted: list[str] | None = None,
    sha256: str | list[str] | None = None,
) -> float:
    """What a trained model predicts; of a classifier the probability of a class.

    Needs `pip install 'sequence-tutor[models]'`.

    file: .onnx, or .skops for a model of scikit-learn; of a list, the mean counts. A pickle
    (.pkl, .joblib) is refused.
    features: what the model is given: "morgan", "fcfp", "atom_pairs", "topological", "maccs",
    "descriptors" or "smiles", a table of one of these with its options, or a list of them, which
    are put one after the other.
    output: name or index of an output of an ONNX model that has several.
    column: class by its label, or target by its index; by default the last class, or the only
    target.
    kind: "probability" says that values are from 0 to 1, "regression" that they aren't; by default
    what the model is.
    value: "mean", or "std", the standard deviation of the models in `file`.
    trusted: types in a skops file that you trust though skops doesn't, such as
    "sklearn.tree._tree.Tree".
    sha256: SHA-256 of each file; a run writes it into its config, and refuses a file that has
    changed.
    """
    given = _inputs_of(features).of(molecule)
    wanted, types = Wanted(output, column, kind), tuple(trusted or ())
    found = [_MODELS.get(one, wanted, types).model.value(given) for one in _files(file)]
    return float(np.mean(found) if value == "mean" else np.std(found))

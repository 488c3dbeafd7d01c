"""Models of scikit-learn in skops files, run on one thread.

skops reads a file without pickle and makes only objects of types that are trusted; what else a file
contains is refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from sequence_tutor.rewards.molecules.models.answer import (
    Wanted,
    checked,
    class_place,
    first_words,
    target_place,
)
from sequence_tutor.rewards.molecules.models.inputs import Numbers


class SkopsModel:
    """A `Model` of a skops file: an estimator of scikit-learn, or a pipeline that ends in one. It
    takes one molecule at a time: float64 [1,D], or SMILES [1].

    trusted: types that are made though skops doesn't know them. Raises ValueError with one sentence
    for a file that isn't such a model.
    """

    text: bool | None = None

    def __init__(self, content: bytes, wanted: Wanted, trusted: Sequence[str]) -> None:
        self._model = _read(content, trusted)
        if wanted.output is not None:
            raise ValueError("output is for ONNX models: leave it out, and choose with column")
        if not callable(getattr(self._model, "predict", None)):
            raise ValueError(f"it holds a {type(self._model).__name__}, which can't predict")
        self._classes = _classes(self._model, wanted)
        self._wanted = wanted
        _on_one_thread(self._model)
        self._threads = _Threads()

    @property
    def width(self) -> int | None:
        found = getattr(self._model, "n_features_in_", None)
        return None if found is None else int(found)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(map(str, getattr(self._model, "feature_names_in_", ())))

    def value(self, given: Numbers | str) -> float:
        """See `Model`."""
        row: Any = np.array([given], object) if isinstance(given, str) else given[None]
        try:
            with self._threads.one(), warnings.catch_warnings():
                # a model that was trained on a table warns that the row has no names
                warnings.simplefilter("ignore")
                if self._classes is None:
                    found = np.asarray(self._model.predict(row), np.float64).reshape(-1)
                else:
                    found = np.asarray(self._model.predict_proba(row), np.float64)[0]
        except Exception as error:
            raise ValueError(f"scikit-learn: {first_words(error)}") from error
        column = self._wanted.column
        if self._classes is None:
            return checked(float(found[target_place(len(found), column)]), None)
        return checked(float(found[class_place(self._classes, column)]), "probability")


def _read(content: bytes, trusted: Sequence[str]) -> Any:
    try:
        import skops.io
    except ImportError as error:
        raise ValueError(
            "skops, which reads models of scikit-learn, isn't installed: "
            "pip install 'sequence-tutor[models]'"
        ) from error
    try:
        unknown = sorted(set(skops.io.get_untrusted_types(data=content)) - set(trusted))
    except Exception as error:
        raise ValueError(f"it is no skops file: {first_words(error)}") from error
    if unknown:
        listed = ", ".join(f'"{one}"' for one in [*trusted, *unknown])
        raise ValueError(
            f"it contains {', '.join(unknown)}, which skops doesn't trust: if you do, write "
            f"trusted = [{listed}]"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on another version of scikit-learn, which may work
            return skops.io.loads(content, trusted=list(trusted))
    except Exception as error:
        raise ValueError(f"skops can't read it: {first_words(error)}") from error


def _classes(model: Any, wanted: Wanted) -> list[Any] | None:
    """Labels of a classifier's classes; None for a regressor. Raises ValueError where the model
    isn't of the kind that is wanted."""
    from sklearn.base import is_classifier

    name = type(model).__name__
    if not is_classifier(model):
        if wanted.kind == "probability":
            raise ValueError(f"{name} is a regressor, which gives no probabilities: leave kind out")
        return None
    if wanted.kind == "regression":
        raise ValueError(f"{name} is a classifier: leave kind out, it gives a probability")
    if not hasattr(model, "predict_proba"):
        raise ValueError(
            f"{name} gives no probabilities: fit it with them (probability = True), or put it into "
            "scikit-learn's CalibratedClassifierCV"
        )
    classes = model.classes_
    if isinstance(classes, list):
        raise ValueError(f"{name} predicts {len(classes)} targets at once: save a model for each")
    return list(classes.tolist())


def _on_one_thread(model: Any) -> None:
    """Let the model, and each part of it, start no threads or processes."""
    parameters: dict[str, Any] = getattr(model, "get_params", dict)()
    jobs = {name: None for name in parameters if name.split("__")[-1] == "n_jobs"}
    if jobs:
        model.set_params(**jobs)


class _Threads:
    """The threads of the libraries that scikit-learn calls."""

    def __init__(self) -> None:
        from threadpoolctl import ThreadpoolController

        self._controller = ThreadpoolController()
        # a process that scores has one from the start, unless OMP_NUM_THREADS says otherwise;
        # setting it takes 0.3 ms
        self._several = any(pool["num_threads"] > 1 for pool in self._controller.info())

    @contextmanager
    def one(self) -> Iterator[None]:
        """A context in which there is one. The others would be missing in a copy of the process,
        which would wait for them for ever."""
        if not self._several:
            yield
            return
        with self._controller.limit(limits=1):
            yield

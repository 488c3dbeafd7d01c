"""Reading the classifiers of TDC from pickle files, without running what a file asks for.

A pickle names functions and classes that Python imports and calls, so a hostile file can do
anything. Here a name is looked up in a table of our own. It holds the names that a NumPy array or
number, scikit-learn's SVC and RandomForestClassifier write, and each stands for a container in this
module that keeps the data. Nothing is imported, and neither NumPy's nor scikit-learn's code for
loading is called. A file that names anything else is refused.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sequence_tutor.rewards.molecules.tasks.classifiers import (
    Classifier,
    Forest,
    SupportVectorMachine,
)

# Types of numbers that an array may have: logical, whole numbers, floats.
_NUMBERS = frozenset(
    {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "bool", "int64", "float64"}
)


class _Refused(Exception):
    """The file asks for something that a classifier doesn't need."""


class _State:
    """Keeps the arguments and the state of an object of scikit-learn."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = dict(state)

    def __getitem__(self, name: str) -> Any:
        if name not in self.state:
            raise ValueError(f"it has no {name}")
        return self.state[name]


class _Type:
    """Keeps the type of an array's elements; `dtype` is it."""

    def __init__(self, name: str, *flags: object) -> None:
        self._name = name
        self._state: tuple[Any, ...] = (3, "=", None, None, None)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._state = state

    @property
    def dtype(self) -> np.dtype[Any]:
        """Raises _Refused for elements that aren't numbers or records of numbers."""
        _, order, base, names, fields = self._state[:5]
        if names is None and base is None and self._name in _NUMBERS:
            found = np.dtype(self._name)
            return found if order == "|" else found.newbyteorder(order)
        if names is None or self._name[:1] != "V":
            raise _Refused(f"elements of type {self._name!r}")
        formats = [fields[name][0].dtype for name in names]
        offsets = [fields[name][1] for name in names]
        record: Any = {"names": list(names), "formats": formats, "offsets": offsets}
        whole: np.dtype[Any] = np.dtype(record | {"itemsize": int(self._name[1:])})
        return whole


class _Array:
    """Keeps an array; `values` is it."""

    def __init__(self, *arguments: object) -> None:
        self.values = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, by_columns, data = state
        self.values = _values(data, kind, shape, "F" if by_columns else "C")


def _values(data: Any, kind: _Type, shape: tuple[int, ...], order: Any) -> np.ndarray:
    dtype = kind.dtype
    if not isinstance(data, (bytes, bytearray)) or len(data) != math.prod(shape) * dtype.itemsize:
        raise ValueError("an array has another size than it should")
    return np.frombuffer(bytes(data), dtype).reshape(shape, order=order)


def _array_in_place(data: Any, kind: _Type, shape: tuple[int, ...], order: str) -> _Array:
    array = _Array()
    array.values = _values(data, kind, shape, order)
    return array


def _number(kind: _Type, data: bytes) -> Any:
    return _values(data, kind, (1,), "C")[0].item()


def _containers() -> dict[tuple[str, str], Callable[..., Any]]:
    """(module, name) in a pickle -> what stands for it. It is made anew for each file, because a
    pickle may also set attributes of what it gets."""

    def named(name: str, base: type) -> type:
        return type(name, (base,), {})

    array, state = named("ndarray", _Array), named("Tree", _State)
    table: dict[tuple[str, str], Callable[..., Any]] = {
        ("numpy", "ndarray"): array,
        ("numpy", "dtype"): named("dtype", _Type),
        ("sklearn.tree._tree", "Tree"): state,
    }
    for numpy in ("numpy.core", "numpy._core"):  # before NumPy 2, and since
        table[f"{numpy}.multiarray", "_reconstruct"] = lambda *arguments: array()
        table[f"{numpy}.multiarray", "scalar"] = lambda *arguments: _number(*arguments)
        table[f"{numpy}.numeric", "_frombuffer"] = lambda *arguments: _array_in_place(*arguments)
    for module, name in (
        ("svm.classes", "SVC"),
        ("svm._classes", "SVC"),
        ("ensemble.forest", "RandomForestClassifier"),
        ("ensemble._forest", "RandomForestClassifier"),
        ("tree.tree", "DecisionTreeClassifier"),
        ("tree._classes", "DecisionTreeClassifier"),
    ):  # before scikit-learn 0.22, and since
        table[f"sklearn.{module}", name] = named(name, _State)
    return table


class _Reader(pickle.Unpickler):
    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._table = _containers()

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name; raises _Refused for one that isn't in the table."""
        if (module, name) not in self._table:
            raise _Refused(f"{module}.{name}")
        return self._table[module, name]


def read_classifier(path: str | Path, features: int) -> Classifier:
    """The classifier of a pickle file: an SVC with probabilities and the kernel "rbf", or a
    RandomForestClassifier, of two classes and a number of features.

    Raises ValueError with one sentence where there is no such file, it asks for anything else, or
    it is damaged.
    """
    try:
        with Path(path).open("rb") as file:
            found = _Reader(file).load()
        classifier = _classifier(found)
    except OSError as error:
        raise ValueError(f"no model can be read from {path}: {error.strerror}") from error
    except _Refused as error:
        raise ValueError(
            f"the model {path} is refused: it asks for {error}, and only the arrays of an SVC or a "
            "RandomForestClassifier are read"
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # a damaged file can raise almost anything
        raise ValueError(f"the model {path} can't be read: {error}") from error
    if classifier.features != features:
        raise ValueError(
            f"the model {path} takes {classifier.features} features, and there are {features}"
        )
    return classifier


def _classifier(found: Any) -> Classifier:
    kind = type(found).__name__
    if not isinstance(found, _State) or kind not in ("SVC", "RandomForestClassifier"):
        raise ValueError("it is neither an SVC nor a RandomForestClassifier")
    if found["classes_"].values.tolist() != [0, 1]:
        raise ValueError("its classes aren't 0 and 1")
    return _machine(found) if kind == "SVC" else _forest(found)


def _machine(found: _State) -> SupportVectorMachine:
    if found["kernel"] != "rbf" or found["_sparse"]:
        raise ValueError('only the kernel "rbf" on dense features is known')
    names = ("_probA", "_probB") if "_probA" in found.state else ("probA_", "probB_")
    slope, offset = (found[name].values for name in names)
    if len(slope) != 1 or len(offset) != 1:
        raise ValueError("it was fitted without probabilities")
    return SupportVectorMachine(
        vectors=np.ascontiguousarray(found["support_vectors_"].values.T, dtype=np.float64),
        coefficients=np.asarray(found["_dual_coef_"].values[0], dtype=np.float64),
        intercept=float(found["_intercept_"].values[0]),
        gamma=float(found["_gamma"]),
        slope=float(slope[0]),
        offset=float(offset[0]),
    )


def _forest(found: _State) -> Forest:
    trees = [tree["tree_"] for tree in found["estimators_"]]
    nodes = [tree["nodes"].values for tree in trees]
    sizes = np.array([len(of_tree) for of_tree in nodes])
    roots = np.cumsum(sizes) - sizes
    all_nodes, first = np.concatenate(nodes), np.repeat(roots, sizes)
    weights = np.concatenate([tree["values"].values[:, 0, :] for tree in trees])
    leaf, own = all_nodes["left_child"] < 0, np.arange(len(all_nodes))
    left = np.where(leaf, own, all_nodes["left_child"] + first)
    right = np.where(leaf, own, all_nodes["right_child"] + first)
    feature = np.where(leaf, 0, all_nodes["feature"])
    features = int(trees[0].arguments[0])
    # a child comes after its parent, so that no walk goes round; the arrays end where they should
    inside = (left >= own) & (right >= own) & (left < first + np.repeat(sizes, sizes))
    inside &= (right < first + np.repeat(sizes, sizes)) & (feature >= 0) & (feature < features)
    if not inside.all():
        raise ValueError("a node of a tree leads out of it")
    return Forest(
        features=features,
        roots=roots,
        feature=feature,
        threshold=np.asarray(all_nodes["threshold"], dtype=np.float64),
        left=left,
        right=right,
        share=weights[:, 1] / weights.sum(axis=1),
    )

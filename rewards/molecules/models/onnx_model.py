"""Models in ONNX files, run by onnxruntime on one thread."""

from __future__ import annotations

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
from sequence_tutor.rewards.names import unknown

# Type of an input -> type of an array, for those that hold numbers.
_NUMBERS = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
}
_TEXT = "tensor(string)"
# Log messages from this severity on are written: 4 is fatal, since an error is raised anyway.
_QUIET = 4


class OnnxModel:
    """A `Model` of an ONNX file. It takes one molecule at a time, in one input: numbers [1,D], or
    SMILES [1] or [1,1].

    Raises ValueError with one sentence for a file that isn't such a model.
    """

    names: tuple[str, ...] = ()

    def __init__(self, content: bytes, wanted: Wanted) -> None:
        self._session, self._wanted = _session(content), wanted
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            named = ", ".join(one.name for one in inputs)
            raise ValueError(
                f"it has {len(inputs)} inputs ({named}), where one is needed that takes all numbers"
            )
        self._input = inputs[0]
        self._type: str = self._input.type
        if self._type != _TEXT and self._type not in _NUMBERS:
            raise ValueError(
                f"its input {self._input.name!r} is {self._type}, not numbers or texts"
            )
        self._shape = list(self._input.shape)
        rows = self._shape[0] if self._shape else 0
        ranks = (1, 2) if self.text else (2,)
        if len(self._shape) not in ranks or (isinstance(rows, int) and rows != 1):
            raise ValueError(
                f"its input {self._input.name!r} has shape {self._shape}, not one row per molecule"
            )
        self._output = self._chosen_output()

    @property
    def text(self) -> bool:
        return self._type == _TEXT

    @property
    def width(self) -> int | None:
        last = self._shape[-1]
        return last if not self.text and isinstance(last, int) else None

    def value(self, given: Numbers | str) -> float:
        """See `Model`."""
        feed: Any
        if isinstance(given, str):
            feed = np.array([given], object).reshape([1] * len(self._shape))
        else:
            with np.errstate(over="ignore"):
                feed = given.astype(_NUMBERS[self._type])[None]
            if not np.isfinite(feed).all():
                raise ValueError(f"a feature is too large for {self._type}, which the model takes")
        try:
            [found] = self._session.run([self._output], {self._input.name: feed})
        except Exception as error:
            raise ValueError(f"onnxruntime: {first_words(error)}") from error
        return checked(self._pick(found), self._wanted.kind)

    def _chosen_output(self) -> str:
        names: list[str] = [one.name for one in self._session.get_outputs()]
        output = self._wanted.output
        if isinstance(output, int):
            if not 0 <= output < len(names):
                raise ValueError(
                    f"output = {output} must be from 0 to {len(names) - 1}: its outputs are "
                    f"{', '.join(names)}"
                )
            return names[output]
        if output is not None:
            if output not in names:
                raise ValueError(unknown("output", output, names))
            return output
        if len(names) == 1:
            return names[0]
        # classifiers of scikit-learn give labels and probabilities
        probable = [name for name in names if _is_probability(name)]
        if len(probable) != 1:
            raise ValueError(
                f"it has {len(names)} outputs ({', '.join(names)}): choose one with output = "
                f"{names[0]!r}"
            )
        return probable[0]

    def _pick(self, found: Any) -> float:
        """The value of the molecule in what the output gives for it."""
        column = self._wanted.column
        if isinstance(found, list):  # skl2onnx's ZipMap: probability by class
            if len(found) != 1 or not isinstance(found[0], dict):
                raise ValueError(f"its output {self._output!r} is no row of numbers")
            labels = list(found[0])
            return float(found[0][labels[class_place(labels, column)]])
        if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiub" or not found.size:
            raise ValueError(f"its output {self._output!r} is no row of numbers")
        row = found.reshape(-1)
        probable = _is_probability(self._output) or self._wanted.kind == "probability"
        if column is None and probable and self._wanted.kind != "regression":
            return float(row[-1])
        return float(row[target_place(len(row), column)])


def _is_probability(output: str) -> bool:
    return "prob" in output.lower()


def _session(content: bytes) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError(
            "onnxruntime, which reads ONNX, isn't installed: pip install 'sequence-tutor[models]'"
        ) from error
    options = onnxruntime.SessionOptions()
    # with one thread the calling one does all, so a process may be copied after the model is read
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _QUIET
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # the one reason to look for other files; from bytes there is no folder to look in
        if "model_path" in str(error):
            raise ValueError(
                "its weights are in a second file: save it as one file, in PyTorch with "
                "torch.onnx.export(..., external_data=False)"
            ) from error
        raise ValueError(
            f"it is no ONNX model that onnxruntime can run: {first_words(error)}"
        ) from error

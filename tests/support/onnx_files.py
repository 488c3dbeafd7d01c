"""Small ONNX models, for tests and for the times on docs/rewards.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

# Molecules to predict, and features for it.
MOLECULES = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",
    "C[C@H](N)C(=O)NCCc1ccc(O)cc1",
    "FC(F)(F)c1ccc(Cl)cc1S(=O)(=O)N1CCOCC1",
    "CCO",
]
BITS: dict[str, Any] = {"type": "morgan", "bits": 64}


def linear_onnx(
    weights: ArrayLike,
    bias: ArrayLike = 0.0,
    shape: Sequence[int | str | None] | None = None,
    output: str = "y",
    kind: int = TensorProto.FLOAT,
) -> bytes:
    """A model that gives x W + b for x [N,D]: weights [D] or [D,K], one or K biases. `shape` is the
    input's, by default [N,D]; `kind` the type of its elements."""
    w = np.asarray(weights, np.float32)
    w = w.reshape(len(w), -1)
    b = np.broadcast_to(np.asarray(bias, np.float32), w.shape[1:])
    nodes = [
        helper.make_node("Cast", ["x"], ["given"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["given", "w"], ["product"]),
        helper.make_node("Add", ["product", "b"], [output]),
    ]
    given = helper.make_tensor_value_info("x", kind, ["n", len(w)] if shape is None else shape)
    made = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", w.shape[1]])
    values = [numpy_helper.from_array(w, "w"), numpy_helper.from_array(np.array(b), "b")]
    return as_bytes(nodes, [given], [made], values)


def as_bytes(nodes: list, inputs: list, outputs: list, values: Sequence = ()) -> bytes:
    """A model of these parts."""
    graph = helper.make_graph(nodes, "graph", inputs, outputs, initializer=list(values))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    # a version that every onnxruntime since 2023 reads
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())

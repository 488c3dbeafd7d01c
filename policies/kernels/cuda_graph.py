"""CUDA graphs: many GPU operations that are recorded once and launched together."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def captured(run: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """Record `run` as a CUDA graph, which saves the time of Python and of single launches.

    `run` is called once before the recording, so that kernels are built and libraries initialised.
    It must not wait for the GPU, and must use the same tensors as inputs and outputs each time. On
    other devices `run` itself is returned.
    """
    if device.type != "cuda":
        return run
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        run()
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


class CapturedByShape:
    """A training function of tensors, as one CUDA graph for each shape of its inputs.

    The first call with a shape runs directly and is recorded for later calls. `run` returns one
    tensor and must not wait for the GPU. The tensors that it changes, such as weights and moments,
    must keep their addresses; after they have been moved, call `forget`.
    """

    def __init__(self, run: Callable[[dict[str, Tensor]], Tensor], device: torch.device) -> None:
        self._run = run
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._graphs: dict[object, tuple[torch.cuda.CUDAGraph, dict[str, Tensor], Tensor]] = {}
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the result for inputs on the GPU or in pinned memory, without waiting for it."""
        shapes = tuple((name, tensor.shape) for name, tensor in inputs.items())
        if shapes not in self._graphs:
            return self._first(shapes, inputs)
        graph, own, result = self._graphs[shapes]
        for name, tensor in inputs.items():
            own[name].copy_(tensor, non_blocking=True)
        graph.replay()
        return result.clone()

    def _first(self, shapes: object, inputs: dict[str, Tensor]) -> Tensor:
        device, main = self._stream.device, torch.cuda.current_stream(self._stream.device)
        own = {name: tensor.to(device, copy=True) for name, tensor in inputs.items()}
        self._stream.wait_stream(main)
        with torch.cuda.stream(self._stream):
            found = self._run(own)
        main.wait_stream(self._stream)
        graph = torch.cuda.CUDAGraph()
        # graphs share one memory pool, since none needs what another left there
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            result = self._run(own)
        self._graphs[shapes] = graph, own, result
        return found

    def forget(self) -> None:
        """Drop all graphs; the next calls record new ones."""
        self._graphs.clear()

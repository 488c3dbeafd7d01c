"""Work for a GPU that is launched as a whole."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def captured(run: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """`run` as a CUDA graph, which takes none of the time that Python and the single launches take.

    It's called once beforehand, for kernels to be built and libraries to get ready. It must not
    wait for the GPU, and has its inputs and outputs in the same tensors each time. On a device
    without graphs it's `run` itself.
    """
    if device.type != "cuda":
        return run
    beside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(beside):
        run()
    torch.cuda.current_stream(device).wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


class CapturedByShape:
    """A function of tensors that trains: a CUDA graph for each shape of its inputs.

    The first call with a shape is made as it stands, and captured for those that follow. `run`
    gives one tensor, and must not wait for the GPU. What it changes, such as weights and moments,
    must stay where it is; after it has been moved, `forget`.
    """

    def __init__(self, run: Callable[[dict[str, Tensor]], Tensor], device: torch.device) -> None:
        self._run = run
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._graphs: dict[object, tuple[torch.cuda.CUDAGraph, dict[str, Tensor], Tensor]] = {}
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, inputs: dict[str, Tensor]) -> Tensor:
        """The result for inputs on the GPU or in pinned memory; doesn't wait for it."""
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
        # one pool for all: what a graph leaves there is of no use to the next
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            result = self._run(own)
        self._graphs[shapes] = graph, own, result
        return found

    def forget(self) -> None:
        """Capture anew at the next call."""
        self._graphs.clear()

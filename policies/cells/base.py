"""What a network asks of its recurrent layers, of any kind.

Each kind reads in four ways, which give the same numbers: padded batches, padded batches with given
dropout, trees of prefixes, and single steps. A kind is a module with the layers' weights; it is
given the embedding [V+1,E], since an input product that depends on the action only is computed once
for each action.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from sequence_tutor.policies.kernels.prefix_tree import PrefixTree
from sequence_tutor.policies.kernels.stepper import State


class Steps(Protocol):
    """A copy of the layers' weights, laid out to read one action at a time without gradients."""

    def start(self) -> State:
        """The state of one row before the first action."""
        ...

    def __call__(self, actions: Tensor, state: State) -> tuple[Tensor, State]:
        """Actions int64 [N] in a state of N rows -> hidden vectors [N,H] and the state after the
        actions. The given state may be overwritten."""
        ...


class Layers(Protocol):
    """The recurrent layers of a network; an `nn.Module`."""

    kernels: bool
    """Whether `CudaSampler` has kernels for it."""
    reads_at_once: bool
    """Whether all steps of an episode are read together; then trees are read by `over_trees` also
    where no gradients are needed."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """The weights, layer by layer."""
        ...

    def padded(self, embedding: Tensor, reads: Tensor) -> Tensor:
        """Hidden vectors after each action: int64 [T,B] -> float [T,B,H]. Dropout acts in training
        mode."""
        ...

    def with_dropout(self, embedding: Tensor, reads: Tensor, kept: Tensor) -> Tensor:
        """The same with the factors of dropout, float32 [L,T,B,H]; several threads may call it."""
        ...

    def over_trees(
        self, embedding: Tensor, trees: Sequence[PrefixTree], dtype: torch.dtype
    ) -> Tensor:
        """Hidden vectors of all nodes, one tree after the other: float [N,H], with gradients.
        Products are in `dtype`. Each tree has a thread of its own. On a CPU, without dropout."""
        ...

    def steps(self, embedding: Tensor, dtype: torch.dtype) -> Steps:
        """The layers for single steps; products are in `dtype`."""
        ...

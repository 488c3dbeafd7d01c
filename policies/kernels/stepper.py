"""A network that reads one action at a time on a CPU, for sampling and for reading without
gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from sequence_tutor.policies.kernels.packed_linear import Product

if TYPE_CHECKING:
    from sequence_tutor.policies.network import RecurrentNetwork

# What a row's state consists of: tensors [N,..], whose rows may be chosen and repeated.
State = list[Tensor]


class Stepper:
    """A copy of a network's weights, laid out for a CPU; later changes don't reach it.

    Products are in `dtype`. Everything else is in float32, the output layer too: in bfloat16 a
    logit of 20 would be wrong by up to a twentieth of a nat.
    """

    def __init__(self, network: RecurrentNetwork, dtype: torch.dtype) -> None:
        with torch.autocast(network.head.weight.device.type, enabled=False):
            self._layers = network.rnn.steps(network.embedding.weight.detach(), dtype)
        self._head = Product(network.head.weight, network.head.bias.detach())

    @torch.no_grad()
    def start(self) -> State:
        """Return the state of one row before the first action."""
        return self._layers.start()

    @torch.no_grad()
    def step(self, actions: Tensor, state: State) -> tuple[Tensor, State]:
        """Read actions int64 [N] in a state of N rows -> hidden vectors of the last layer [N,H] and
        the state after the actions. The given state is overwritten."""
        return self._layers(actions, state)

    @torch.no_grad()
    def outputs(self, hidden: Tensor) -> Tensor:
        """The network's outputs for each next action: [N,H] -> float32 [N,V]."""
        return self._head(hidden.float())


_laid_out: WeakKeyDictionary[RecurrentNetwork, dict[torch.dtype, tuple[list[int], Stepper]]]
_laid_out = WeakKeyDictionary()


def stepper_of(network: RecurrentNetwork, dtype: torch.dtype) -> Stepper:
    """The stepper of a network's current weights. For a network that doesn't learn it is cached
    until the weights are written to."""
    # PyTorch counts the writes to a tensor, but not those of its fused optimizers
    if any(p.requires_grad for p in network.parameters()):
        return Stepper(network, dtype)
    versions = [p._version for p in network.parameters()]
    known = _laid_out.setdefault(network, {})
    if dtype not in known or known[dtype][0] != versions:
        known[dtype] = versions, Stepper(network, dtype)
    return known[dtype][1]

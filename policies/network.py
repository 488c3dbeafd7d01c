"""The recurrent network behind priors and policies.

One network reads the actions so far and gives one number per next action: log-probabilities up to
a constant for `path`, action values for `q` and `psi`, a correction to the prior for `g`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, embedding, linear

from sequence_tutor.policies.device import product_dtype
from sequence_tutor.policies.packed import GRUSteps, LSTMSteps, Packing

State = tuple[Tensor, ...]


@dataclass(frozen=True)
class Architecture:
    """Sizes of a network. `vocabulary` counts the actions; the start symbol is extra."""

    cell: Literal["gru", "lstm"]
    vocabulary: int
    embedding: int
    hidden: int
    layers: int

    def __post_init__(self) -> None:
        if self.cell not in ("gru", "lstm"):
            raise ValueError(f"cell must be 'gru' or 'lstm', not {self.cell!r}")
        if min(self.vocabulary, self.embedding, self.hidden, self.layers) < 1:
            raise ValueError(f"every size of a network must be at least 1: {self}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class RecurrentNetwork(nn.Module):
    """Embedding, GRU or LSTM layers, linear head.

    `dropout` acts on each layer's output and only in training mode.
    """

    def __init__(self, architecture: Architecture, dropout: float = 0.0) -> None:
        super().__init__()
        self.architecture = a = architecture
        self.embedding = nn.Embedding(a.vocabulary + 1, a.embedding)
        cell = nn.GRU if a.cell == "gru" else nn.LSTM
        self.rnn = cell(a.embedding, a.hidden, a.layers, dropout=dropout if a.layers > 1 else 0.0)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(a.hidden, a.vocabulary)

    def features(self, actions: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Hidden vectors before each action: int [B,T] -> float [T,B,H], time first.

        Row t has read the start symbol and actions 0..t-1, so it may predict action t. With
        `lengths`, int64 [B], the steps after an episode's end cost nothing and are zero.
        """
        inputs = self._inputs(actions)
        if lengths is None or not _packs(actions):
            output, _ = self.rnn(self.embedding(inputs.t()))
            return self.dropout(output)  # type: ignore[no-any-return]
        packing = Packing(lengths, actions.shape[1])
        return packing.unpack(self._packed_features(inputs, packing)).transpose(0, 1)

    def forward(self, actions: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Outputs before each action: int64 [B,T] -> float32 [B,T,V]; `lengths` as above."""
        if lengths is None or not _packs(actions):
            return self.head(self.features(actions)).float().transpose(0, 1)  # type: ignore[no-any-return]
        packing = Packing(lengths, actions.shape[1])
        packed = self._packed_features(self._inputs(actions), packing)
        return packing.unpack(self.head(packed).float())

    def _inputs(self, actions: Tensor) -> Tensor:
        """What is read before each action, the start symbol first: int [B,T] -> [B,T]."""
        start = actions.new_full((actions.shape[0], 1), self.architecture.vocabulary)
        return torch.cat((start, actions[:, :-1]), 1)

    def _packed_features(self, inputs: Tensor, packing: Packing) -> Tensor:
        """int64 [B,T] -> float32 [N,H], in packed order."""
        lstm = self.architecture.cell == "lstm"
        dtype = product_dtype(inputs.device.type)
        weights = list(self.rnn.parameters())  # per layer: input and hidden weights and biases
        read = packing.pack(inputs)
        below: Tensor | None = None
        for i in range(0, len(weights), 4):
            w_ih, w_hh, b_ih, b_hh = weights[i : i + 4]
            bias = b_ih + b_hh if lstm else b_ih
            if below is None:
                # the first input product depends on the action alone: V + 1 of them, not N
                products = embedding(read, linear(self.embedding.weight, w_ih, bias).float())
            else:
                products = linear(below.to(dtype), w_ih.to(dtype), bias.to(dtype)).float()
            if lstm:
                hidden = LSTMSteps.apply(products, w_hh.to(dtype), packing)  # type: ignore[no-untyped-call]
            else:
                hidden = GRUSteps.apply(products, w_hh.to(dtype), b_hh, packing)  # type: ignore[no-untyped-call]
            last = i + 4 == len(weights)
            below = (
                self.dropout(hidden) if last else dropout(hidden, self.rnn.dropout, self.training)
            )
        assert below is not None
        return below


def _packs(actions: Tensor) -> bool:
    """Whether layers step by step are the fastest here; CUDA has fused ones."""
    return actions.device.type == "cpu"


def action_log_probs(logits: Tensor, actions: Tensor) -> Tensor:
    """log softmax(logits)[action]: [B,T,V], int64 [B,T] -> float32 [B,T] in nats."""
    chosen = logits.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
    return chosen - logits.logsumexp(-1)


def step_mask(lengths: Tensor, steps: int) -> Tensor:
    """True where a step belongs to the episode: lengths [B] -> bool [B,T]."""
    return torch.arange(steps, device=lengths.device) < lengths.unsqueeze(1)

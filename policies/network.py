"""The recurrent network behind priors and policies.

One network reads the actions so far and gives one number per next action: log-probabilities up to
a constant for `path`, action values for `q` and `psi`, a correction to the prior for `g`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

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

    def features(self, actions: Tensor) -> Tensor:
        """Hidden vectors before each action: int [B,T] -> float [T,B,H], time first.

        Row t has read the start symbol and actions 0..t-1, so it may predict action t.
        """
        start = actions.new_full((1, actions.shape[0]), self.architecture.vocabulary)
        inputs = torch.cat((start, actions.t()[:-1]))
        output, _ = self.rnn(self.embedding(inputs))
        return self.dropout(output)  # type: ignore[no-any-return]

    def forward(self, actions: Tensor) -> Tensor:
        """Outputs before each action: int64 [B,T] -> float32 [B,T,V]."""
        return self.head(self.features(actions)).float().transpose(0, 1)  # type: ignore[no-any-return]


def action_log_probs(logits: Tensor, actions: Tensor) -> Tensor:
    """log softmax(logits)[action]: [B,T,V], int64 [B,T] -> float32 [B,T] in nats."""
    chosen = logits.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
    return chosen - logits.logsumexp(-1)


def step_mask(lengths: Tensor, steps: int) -> Tensor:
    """True where a step belongs to the episode: lengths [B] -> bool [B,T]."""
    return torch.arange(steps, device=lengths.device) < lengths.unsqueeze(1)

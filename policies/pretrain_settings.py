"""Settings of a prior's training, with the command line's defaults. Doesn't import torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PretrainSettings:
    """Sizes of the network and settings of its optimiser and schedule; see `pretrain`."""

    cell: str = "lstm"
    """Kind of recurrent layers: "lstm", "gru" or "mingru"; see `docs/networks.md`."""
    embedding: int = 128
    """Width E of the vector that stands for an action."""
    hidden: int = 512
    """Hidden units H per layer."""
    layers: int = 3
    """Number of recurrent layers L."""
    epochs: int = 7
    """Passes over the training sequences, at most."""
    batch: int = 128
    """Sequences per update."""
    learning_rate: float = 1.5e-3
    """AdamW's learning rate after the warm-up."""
    weight_decay: float = 0.01
    """AdamW's weight decay."""
    dropout: float = 0.1
    """Probability with which an output of a layer is dropped in training."""
    warmup: int = 200
    """Updates over which the learning rate rises to its full value."""
    decay_share: float = 4 / 7
    """Share of the training, at its end, in which the learning rate falls linearly to zero."""
    validation: float = 0.02
    """Share of the pieces that is held out for validation."""
    patience: int = 3
    """Epochs in a row without a better validation NLL after which the training ends."""
    seed: int = 0
    """Seed of the split, the initial weights, the order of batches and the dropout."""


# The defaults of a training that starts from a prior, on a few hundred sequences. Measured in
# docs/results/transfer.md, beside a lower rate, which learns less and forgets less.
TRANSFER = PretrainSettings(
    epochs=10, batch=32, learning_rate=1e-3, warmup=10, decay_share=0.5, validation=0.1
)

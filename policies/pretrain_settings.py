"""How a prior is trained; the command line takes its defaults from here. Loads without torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PretrainSettings:
    """`learning_rate` is AdamW's, warmed up over `warmup` steps and brought linearly to zero over
    the last `decay_share` of the training; `dropout` acts on each layer's output; `validation` is
    the share held out; `patience` epochs without a better validation NLL end the training."""

    cell: str = "lstm"
    embedding: int = 128
    hidden: int = 512
    layers: int = 3
    epochs: int = 7
    batch: int = 128
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.01
    dropout: float = 0.1
    warmup: int = 200
    decay_share: float = 4 / 7
    validation: float = 0.02
    patience: int = 3
    seed: int = 0

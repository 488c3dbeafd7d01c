"""Files of models as REINVENT writes them, made from random weights.

The classes of REINVENT that a file names are made up, and known to Python only while it is saved.
"""

from __future__ import annotations

import io
import math
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sequence_tutor.policies.prior import Prior

MODULE_4 = "reinvent.models.reinvent.models.vocabulary"
MODULE_3 = "reinvent_models.reinvent_core.models.vocabulary"
TOKENS = ["$", "^", *"#%()-123=CFNOScnos", "%10", "Br", "Cl", "[N+]", "[nH]"]


class Network(nn.Module):
    """Their names of the layers."""

    def __init__(
        self, vocabulary: int, cell: str, layers: int = 2, hidden: int = 12, embedding: int = 7
    ) -> None:
        super().__init__()
        self._embedding = nn.Embedding(vocabulary, embedding)
        kind = nn.LSTM if cell == "lstm" else nn.GRU
        self._rnn = kind(embedding, hidden, num_layers=layers, batch_first=True)
        self._linear = nn.Linear(hidden, vocabulary)


@contextmanager
def classes(module: str, **attributes: Any) -> Iterator[types.ModuleType]:
    """A module that exists inside the block."""
    made = types.ModuleType(module)
    for name in ("Vocabulary", "SMILESTokenizer"):
        setattr(made, name, type(name, (), {"__module__": module}))
    # pickle looks a class up by importing its module, and so the packages above it
    names = [module.rsplit(".", n)[0] for n in range(1, module.count(".") + 1)]
    before = {name: sys.modules.get(name) for name in [*names, module]}
    sys.modules.update({name: types.ModuleType(name) for name in names} | {module: made})
    try:
        yield made
    finally:
        for name, old in before.items():
            if old is None:
                del sys.modules[name]
            else:
                sys.modules[name] = old


def reinvent_file(
    path: Path,
    version: int = 4,
    cell: str = "lstm",
    tokens: list[str] | None = None,
    model: Network | None = None,
    **changes: Any,
) -> Network:
    """Write a model as version 3 or 4 does, with `changes` of its keys, and return its network, by
    default one of random weights."""
    tokens = TOKENS if tokens is None else tokens
    network = model
    if network is None:
        torch.manual_seed(3)
        network = Network(len(tokens), cell)
        for parameter in network.parameters():  # large enough that the tokens differ
            nn.init.uniform_(parameter, -1.0, 1.0)
    numbers = {token: i for i, token in enumerate(tokens)}
    module = MODULE_4 if version == 4 else MODULE_3
    with classes(module) as made:
        tokenizer = made.SMILESTokenizer()
        saved: dict[str, Any] = {
            "tokenizer": tokenizer,
            "max_sequence_length": 60,
            "network": network.state_dict(),
            "network_params": {
                "dropout": 0.0,
                "layer_size": 12,
                "num_layers": 2,
                "cell_type": cell,
                "embedding_layer_size": 7,
            },
        }
        if version == 4:
            saved |= {
                "model_type": "Reinvent",
                "version": 1,
                "metadata": {"hash_id": None, "updates": [1.5], "comments": ["made up"]},
                "vocabulary": {
                    "tokens": numbers,
                    "pad_token": 0,
                    "bos_token": 1,
                    "eos_token": 2,
                    "unk_token": None,
                },
            }
        else:
            vocabulary = made.Vocabulary()
            vocabulary._tokens = numbers | {i: token for token, i in numbers.items()}
            vocabulary._current_id = len(tokens)
            saved["vocabulary"] = vocabulary
        content = io.BytesIO()
        torch.save(saved | changes, content)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.getvalue())
    return network


def written_as_reinvent(prior: Prior, path: Path) -> None:
    """Write a prior of ours as REINVENT 4 would: with "^" as the last token, which it never
    makes."""
    a = prior.network.architecture
    assert prior.encoding.vocabulary.end_id == 0
    tokens = ["$", *prior.encoding.vocabulary.tokens[1:], "^"]
    network = Network(len(tokens), a.cell, a.layers, a.hidden, a.embedding)
    ours = prior.network.state_dict()
    weights = {f"_rnn.{k.removeprefix('rnn.')}": v for k, v in ours.items() if k.startswith("rnn.")}
    weights["_embedding.weight"] = ours["embedding.weight"]
    never = torch.zeros(1, a.hidden)
    weights["_linear.weight"] = torch.cat((ours["head.weight"], never))
    weights["_linear.bias"] = torch.cat((ours["head.bias"], torch.full((1,), -50.0)))
    network.load_state_dict(weights)
    reinvent_file(path, tokens=tokens, model=network)


def read_step_by_step(network: Network, tokens: list[str], vocabulary: list[str]) -> float:
    """The NLL of one sequence of tokens, read one by one from "^" to "$", by a plain loop over the
    gates of the layers, in nats."""
    weights = {key: value.double() for key, value in network.state_dict().items()}
    layers = sum(key.startswith("_rnn.weight_hh") for key in weights)
    size = weights["_linear.weight"].shape[1]
    hidden = [torch.zeros(size, dtype=torch.float64) for _ in range(layers)]
    cells = [torch.zeros(size, dtype=torch.float64) for _ in range(layers)]
    total, before = 0.0, "^"
    for token in [*tokens, "$"]:
        x = weights["_embedding.weight"][vocabulary.index(before)]
        for i in range(layers):
            given = weights[f"_rnn.weight_ih_l{i}"] @ x + weights[f"_rnn.bias_ih_l{i}"]
            kept = weights[f"_rnn.weight_hh_l{i}"] @ hidden[i] + weights[f"_rnn.bias_hh_l{i}"]
            if isinstance(network._rnn, nn.LSTM):
                a, forget, new, out = (given + kept).chunk(4)
                cells[i] = forget.sigmoid() * cells[i] + a.sigmoid() * new.tanh()
                hidden[i] = out.sigmoid() * cells[i].tanh()
            else:
                (r, z, n), (hr, hz, hn) = given.chunk(3), kept.chunk(3)
                update = (z + hz).sigmoid()
                candidate = (n + (r + hr).sigmoid() * hn).tanh()
                hidden[i] = (1 - update) * candidate + update * hidden[i]
            x = hidden[i]
        logits = weights["_linear.weight"] @ x + weights["_linear.bias"]
        log_sum = math.log(sum(math.exp(float(logit)) for logit in logits))
        total += log_sum - float(logits[vocabulary.index(token)])
        before = token
    return total

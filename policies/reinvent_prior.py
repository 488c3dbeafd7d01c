"""Priors of REINVENT 3 and 4: their file of a model (.prior, .chkpt, .model), as a prior of ours.

The file is a pickle. It is read by PyTorch's restricted unpickler, which makes tensors and plain
containers; objects of REINVENT's classes become `Inert` ones, which hold their data and have no
methods. Whatever else it asks Python for is refused by its name, and nothing of it runs.

The network there is the same: embedding, GRU or LSTM, linear head. Two things are told otherwise:

- There the first input is the token "^", here it is the symbol V after the last action. Its row of
  the embedding is copied there.
- There "^" is an action too, if one of nearly no probability. It stays an action, so that every
  sequence keeps its NLL. No SMILES has a "^", so it is never encoded, and a sequence for which the
  policy draws one is invalid. (Their text of such a sequence leaves the "^" out.)

"$" ends a sequence there. Its text here is that of every end token, since "$" is a bond in SMILES.
"""

from __future__ import annotations

import io
import json
import pickle
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sequence_tutor.policies.encodings.smiles import SmilesEncoding
from sequence_tutor.policies.encodings.tokens import END
from sequence_tutor.policies.find_prior import PriorError
from sequence_tutor.policies.network import Architecture

# Whose classes may be named: every class of these packages, and this one.
_PACKAGES = ("reinvent.", "reinvent_models.")
_OTHER_CLASSES = ("uuid.UUID",)
# A file names about three; one that names more than this is something else.
_MOST_CLASSES = 30
START_TOKEN, END_TOKEN = "^", "$"
# Their longest sequence counts "^", ours doesn't.
_USUAL_LENGTH = 256
_REFUSED = re.compile(r"(?:GLOBAL|class) ([\w.]*\w)")


class Inert:
    """Stands for an object of a class of REINVENT."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def parts_of(content: bytes, origin: str) -> tuple[str, dict[str, Tensor]]:
    """`prior.json` as text and the tensors of our network, from the bytes of a file. Raises
    PriorError with one sentence that begins with `origin`."""
    saved = _unpickled(content, origin)
    try:
        return _translated(saved)
    except ValueError as error:
        raise PriorError(f"{origin} can't be a prior here: {error}") from error


def _unpickled(content: bytes, origin: str) -> dict[str, Any]:
    known = list(_OTHER_CLASSES)
    while True:
        try:
            with torch.serialization.safe_globals([(Inert, name) for name in known]):
                saved = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            break
        except pickle.UnpicklingError as error:
            found = _REFUSED.search(str(error))
            name = found.group(1) if found else ""
            if name.startswith(_PACKAGES) and name not in known and len(known) < _MOST_CLASSES:
                known.append(name)
                continue
            if not name:
                raise PriorError(
                    f"{origin} is no file of REINVENT 3 or 4, or holds more than tensors and plain "
                    "data"
                ) from error
            raise PriorError(
                f"{origin} is refused: it asks for {name}, which is neither plain data nor "
                "REINVENT's; nothing of it was run"
            ) from error
        except Exception as error:  # whatever a damaged file leads to
            said = str(error).strip().splitlines()
            why = said[0] if said else type(error).__name__
            raise PriorError(f"{origin} is no whole file of REINVENT 3 or 4: {why}") from error
    if not isinstance(saved, dict) or not all(isinstance(key, str) for key in saved):
        raise PriorError(f"{origin} is no file of REINVENT 3 or 4: it holds no table")
    return saved


def _translated(saved: Mapping[str, Any]) -> tuple[str, dict[str, Tensor]]:
    kind = saved.get("model_type") or ("Reinvent" if "network" in saved else "unknown")
    if kind != "Reinvent" or "network" not in saved:
        raise ValueError(
            f"it is a model of the kind {kind!r}, and only those that make whole molecules, "
            "'Reinvent', can be one"
        )
    given = saved.get("network_params")
    if isinstance(given, dict) and given.get("layer_normalization"):
        raise ValueError("it normalises its layers (layer_normalization), which ours don't do")
    tokens = _tokens(saved.get("vocabulary"))
    weights = _weights(saved["network"], tokens.index(START_TOKEN))
    architecture = _architecture(weights)
    if architecture.vocabulary != len(tokens):
        raise ValueError(f"{len(tokens)} tokens, but a network for {architecture.vocabulary}")
    longest = saved.get("max_sequence_length", _USUAL_LENGTH)
    if not isinstance(longest, int) or longest < 3:
        raise ValueError(f"max_sequence_length = {longest!r} is no length")
    end = tokens.index(END_TOKEN)
    metadata = {
        "format": 1,
        "architecture": architecture.to_dict(),
        "card": {"from": "REINVENT", "metadata": _plain(saved.get("metadata"))},
        "encoding": SmilesEncoding.name,
        "max_length": longest - 1,
        "end_id": end,
        "vocabulary": [END if i == end else token for i, token in enumerate(tokens)],
    }
    return json.dumps(metadata), weights


def _tokens(vocabulary: Any) -> list[str]:
    """The tokens in the order of their numbers. Raises ValueError for a vocabulary that isn't
    whole, or whose tokens our encoding would divide."""
    if isinstance(vocabulary, Inert):  # maps tokens to numbers, and numbers to tokens
        vocabulary = {"tokens": (vocabulary.state or {}).get("_tokens")}
    found = vocabulary.get("tokens") if isinstance(vocabulary, dict) else None
    if not isinstance(found, dict):
        raise ValueError("it has no vocabulary")
    numbers = {token: number for token, number in found.items() if isinstance(token, str)}
    whole = all(type(number) is int for number in numbers.values())
    if not whole or sorted(numbers.values()) != list(range(len(numbers))):
        raise ValueError("its tokens aren't numbered from 0 without a gap")
    tokens = sorted(numbers, key=lambda token: numbers[token])
    for token in (START_TOKEN, END_TOKEN):
        if token not in tokens:
            raise ValueError(f"its vocabulary has no {token!r}")
    for token in tokens:
        # a single character that is in no SMILES of ours is an action that is never encoded
        if len(token) != 1 and not _is_ours(token):
            raise ValueError(
                f"its token {token!r} is none here: it was trained with another tokeniser"
            )
    return tokens


def _is_ours(token: str) -> bool:
    try:
        return SmilesEncoding.tokenize(token) == [token]
    except ValueError:
        return False


def _weights(network: Any, start: int) -> dict[str, Tensor]:
    """Our names of the tensors; the embedding with the row of `start` after all others."""
    ours = {"_embedding.": "embedding.", "_rnn.": "rnn.", "_linear.": "head."}
    if not isinstance(network, dict) or not network:
        raise ValueError("it has no weights")
    weights: dict[str, Tensor] = {}
    for key, tensor in network.items():
        prefix = next((p for p in ours if isinstance(key, str) and key.startswith(p)), None)
        if prefix is None or not isinstance(tensor, Tensor):
            raise ValueError(f"its network has {key!r}, which ours hasn't")
        weights[ours[prefix] + key.removeprefix(prefix)] = tensor.detach().float()
    embedding = weights.get("embedding.weight")
    if embedding is None or embedding.dim() != 2 or len(embedding) <= start:
        raise ValueError("its embedding isn't whole")
    weights["embedding.weight"] = torch.cat((embedding, embedding[start : start + 1]))
    return weights


def _architecture(weights: Mapping[str, Tensor]) -> Architecture:
    """Kind and sizes of the network, from the shapes of its tensors."""
    try:
        gates, hidden = weights["rnn.weight_hh_l0"].shape
        embedding = weights["embedding.weight"].shape[1]
        vocabulary = len(weights["head.bias"])
    except (KeyError, ValueError) as error:
        raise ValueError("its network isn't whole") from error
    layers = sum(key.startswith("rnn.weight_hh_l") for key in weights)
    if gates == 4 * hidden:
        return Architecture("lstm", vocabulary, embedding, hidden, layers)
    if gates == 3 * hidden:
        return Architecture("gru", vocabulary, embedding, hidden, layers)
    raise ValueError("its layers are neither LSTM nor GRU")


def _plain(value: Any) -> Any:
    """What the file says of its origin, as JSON values; other things by their text."""
    if isinstance(value, Inert):
        value = value.state
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)

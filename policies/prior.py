"""Priors on disk and in memory.

A prior is a directory of `prior.json` (encoding, vocabulary, architecture, where it came from) and
`weights.safetensors`. Nothing in it is executable, so a prior from a stranger is safe to load.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from sequence_tutor.policies.device import autocast
from sequence_tutor.policies.encoding import Encoding, pad
from sequence_tutor.policies.network import (
    Architecture,
    RecurrentNetwork,
    action_log_probs,
    step_mask,
)
from sequence_tutor.policies.sampler import Sampler
from sequence_tutor.policies.smiles import SmilesEncoding
from sequence_tutor.policies.vocabulary import Vocabulary

ENCODINGS: dict[str, type[Encoding]] = {"smiles": SmilesEncoding}
METADATA_FILE, WEIGHTS_FILE = "prior.json", "weights.safetensors"


class PriorError(ValueError):
    """A prior that can't be found or doesn't fit; the message says which file and what to do."""


@dataclass
class Prior:
    """A trained generator: encoding, network and the story of its training."""

    encoding: Encoding
    network: RecurrentNetwork
    card: dict[str, Any] = field(default_factory=dict)

    @property
    def architecture(self) -> dict[str, Any]:
        """`cell` ("gru" or "lstm") and the sizes `vocabulary`, `embedding`, `hidden`, `layers`."""
        return self.network.architecture.to_dict()

    def sample(self, n: int, seed: int | None = None) -> list[str]:
        """n sequences drawn from the prior, as text (invalid ones included)."""
        generator = torch.Generator()
        generator.manual_seed(seed) if seed is not None else generator.seed()
        sampler = Sampler(self.network, self.encoding)
        out: list[str] = []
        while len(out) < n:
            batch = sampler.sample(min(512, n - len(out)), generator)
            out += [self.encoding.decode(row) for row in batch.tokens]
        return out

    def log_prob(self, sequences: Sequence[str]) -> np.ndarray:
        """log p(sequence) in nats, float64 [n]. Raises ValueError for one it can't express."""
        tokens, lengths = pad([self.encoding.encode(s) for s in sequences])
        return token_log_probs(self.network, tokens, lengths)

    def save(self, directory: Path) -> None:
        """Write the prior's two files; bfloat16 weights, which halves the size."""
        directory.mkdir(parents=True, exist_ok=True)
        weights = {k: v.detach().to(torch.bfloat16) for k, v in self.network.state_dict().items()}
        save_file(weights, directory / WEIGHTS_FILE)
        metadata = {
            "format": 1,
            "encoding": self.encoding.name,
            "max_length": self.encoding.max_length,
            "end_id": self.encoding.vocabulary.end_id,
            "architecture": self.architecture,
            "card": self.card,
            "vocabulary": self.encoding.vocabulary.tokens,
        }
        (directory / METADATA_FILE).write_text(json.dumps(metadata, indent=1) + "\n")


@torch.no_grad()
def token_log_probs(
    network: RecurrentNetwork, tokens: np.ndarray, lengths: np.ndarray, batch: int = 256
) -> np.ndarray:
    """Sum of action log-probabilities per episode: tokens [B,T], lengths [B] -> float64 [B]."""
    device = network.head.weight.device
    was_training = network.training
    network.eval()
    out = np.empty(len(tokens))
    order = np.argsort(lengths)
    for i in range(0, len(tokens), batch):
        rows = order[i : i + batch]
        longest = int(lengths[rows].max())
        actions = torch.from_numpy(tokens[rows, :longest].astype(np.int64)).to(device)
        mask = step_mask(torch.from_numpy(lengths[rows]).to(device), longest)
        log_probs = action_log_probs(network(actions), actions)
        out[rows] = (log_probs.double() * mask).sum(1).cpu().numpy()
    network.train(was_training)
    return out


def make_encoding(name: str, vocabulary: Vocabulary, max_length: int) -> Encoding:
    """The encoding of a name. Raises PriorError for one that doesn't exist."""
    if name not in ENCODINGS:
        raise PriorError(f"unknown encoding {name!r}; there are: {', '.join(ENCODINGS)}")
    return ENCODINGS[name](vocabulary, max_length)


def shipped_priors() -> list[str]:
    """Names of the priors that come with the package."""
    root = files("sequence_tutor.policies") / "priors"
    return sorted(p.name for p in root.iterdir() if (p / METADATA_FILE).is_file())


def load_prior(name_or_path: str | Path) -> Prior:
    """A shipped prior by name, or one from a directory. Raises PriorError."""
    if str(name_or_path) in shipped_priors():
        with as_file(files("sequence_tutor.policies") / "priors" / str(name_or_path)) as path:
            return _read(path)
    path = Path(name_or_path)
    if (path / "policy" / METADATA_FILE).is_file():
        path = path / "policy"
    if not (path / METADATA_FILE).is_file():
        raise PriorError(
            f"no prior at {str(name_or_path)!r}: give a directory with {METADATA_FILE}, "
            f"a finished run, or one of: {', '.join(shipped_priors())}"
        )
    return _read(path)


def _read(path: Path) -> Prior:
    try:
        metadata = json.loads((path / METADATA_FILE).read_text())
        vocabulary = Vocabulary(tuple(metadata["vocabulary"]), metadata["end_id"])
        encoding = make_encoding(metadata["encoding"], vocabulary, metadata["max_length"])
        network = RecurrentNetwork(Architecture(**metadata["architecture"]))
        weights = load_file(path / WEIGHTS_FILE)
        network.load_state_dict({k: v.float() for k, v in weights.items()})
    except PriorError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise PriorError(f"{path} is not a whole prior: {error}") from error
    network.eval()
    return Prior(encoding, network, metadata.get("card", {}))

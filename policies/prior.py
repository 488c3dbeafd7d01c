"""Priors on disk and in memory.

A prior is a directory of `prior.json` (encoding, vocabulary, architecture, its training) and
`weights.safetensors`, and may contain the data it was trained on. No part of it is executable code,
so a prior from an unknown source is safe to load.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from sequence_tutor.policies.encodings.base import Encoding, Episodes, pad
from sequence_tutor.policies.encodings.constraint import Constraint
from sequence_tutor.policies.encodings.registry import (
    encoding_from_metadata,
    encoding_to_metadata,
    encodings,
)
from sequence_tutor.policies.files.storage import Location, Where
from sequence_tutor.policies.find_prior import (
    HELD_OUT_FILE,
    METADATA_FILE,
    TRAINING_FILE,
    PriorError,
    found_prior,
    is_reinvent,
)
from sequence_tutor.policies.kernels.device import autocast
from sequence_tutor.policies.kernels.threads import share, unshared_operations
from sequence_tutor.policies.network import (
    Architecture,
    RecurrentNetwork,
    action_log_probs,
    allowed_only,
    step_mask,
)
from sequence_tutor.policies.reinvent_prior import parts_of
from sequence_tutor.policies.sampler import Sampler

WEIGHTS_FILE = "weights.safetensors"
BASE_PREFIX = "base."
# Sequences that one thread draws at a time. Another number gives other sequences for a seed.
SAMPLED_AT_ONCE = 512
# exceptions from reading broken files
_BROKEN = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    RuntimeError,
    SafetensorError,
    EOFError,
    zlib.error,
)


@dataclass(frozen=True)
class Data:
    """The data of a prior, to compare samples with."""

    training: list[str]
    """Sequences that the prior was trained on."""
    held_out: list[str]
    """Sequences that it was validated with."""


@dataclass
class Prior:
    """A trained generator.

    A policy tuned by G-learning is p_base(a|s) exp G(s,a) / Z, where G is the network's output.
    """

    encoding: Encoding
    """Turns sequences into actions and back."""
    network: RecurrentNetwork
    """The recurrent network; where `base` is given, its outputs correct those of `base`."""
    card: dict[str, Any] = field(default_factory=dict)
    """Settings and history of the training, as JSON values."""
    base: RecurrentNetwork | None = None
    """The network p_base that G-learning corrects; None for a prior of one network."""
    data: Data | None = None
    """The sequences behind the prior; None where they don't come with it."""

    @property
    def architecture(self) -> dict[str, Any]:
        """The fields of `Architecture`: `cell` and the sizes."""
        return self.network.architecture.to_dict()

    def sample(self, n: int, seed: int | None = None) -> list[str]:
        """Draw n sequences as text, invalid ones included. A seed gives the same sequences for any
        number of threads."""
        batches = self.episodes(n, seed)
        return [self.encoding.decode(row) for batch in batches for row in batch.tokens]

    def episodes(self, n: int, seed: int | None = None) -> list[Episodes]:
        """The same sequences as `sample`, not decoded, in batches."""
        generators = [torch.Generator() for _ in range(0, n, SAMPLED_AT_ONCE)]
        for i, generator in enumerate(generators):
            if seed is None:
                generator.seed()
            elif i == 0:
                generator.manual_seed(seed)
            else:
                entropy = np.random.SeedSequence([seed % 2**64, i])
                generator.manual_seed(int(entropy.generate_state(1, np.uint64)[0]))
        sampler = Sampler(self.network, self.encoding, self.base)

        def draw(i: int) -> Episodes:
            return sampler.sample(min(SAMPLED_AT_ONCE, n - i * SAMPLED_AT_ONCE), generators[i])

        with unshared_operations() as threads:
            if self.network.head.weight.device.type != "cpu":
                threads = 1
            return share([partial(draw, i) for i in range(len(generators))], threads)

    def log_prob(self, sequences: Sequence[str], exact: bool = True) -> np.ndarray:
        """log p(sequence) in nats, float64 [n]. Raises ValueError for one it can't encode.

        Without `exact` matrix products are in bfloat16 where that's fast. Then log p of a sequence
        may be wrong by 0.1 or 0.2 nats, to either side, and the mean of a thousand by 0.01.
        """
        tokens, lengths = pad([self.encoding.encode(s) for s in sequences])
        with autocast(self.network.head.weight.device.type, enabled=not exact):
            constraint = self.encoding.constraint
            return token_log_probs(
                self.network, tokens, lengths, base=self.base, constraint=constraint
            )

    def save(self, where: Where) -> None:
        """Write the prior's files into a directory, each atomically; weights in bfloat16."""
        directory = Location(where)
        directory.make()
        weights = self.network.state_dict()
        if self.base is not None:
            weights |= {BASE_PREFIX + k: v for k, v in self.base.state_dict().items()}
        weights = {k: v.detach().to("cpu", torch.bfloat16) for k, v in weights.items()}
        contents = {WEIGHTS_FILE: save(weights), METADATA_FILE: f"{self.metadata()}\n".encode()}
        if self.data is not None:
            contents[TRAINING_FILE] = _packed(self.data.training)
            contents[HELD_OUT_FILE] = _packed(self.data.held_out)
        for name, content in contents.items():
            (directory / name).write(content)

    def metadata(self) -> str:
        """`prior.json` as text."""
        parts = {"format": 1, "architecture": self.architecture, "card": self.card}
        return json.dumps(parts | encoding_to_metadata(self.encoding), indent=1)


def _packed(lines: list[str]) -> bytes:
    """Gzip without a time stamp, so that the same lines give the same bytes."""
    return gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0)


def token_log_probs(
    network: RecurrentNetwork,
    tokens: np.ndarray,
    lengths: np.ndarray,
    batch: int = 256,
    base: RecurrentNetwork | None = None,
    constraint: Constraint | None = None,
) -> np.ndarray:
    """Sum of action log-probabilities per episode: tokens [B,T], lengths [B] -> float64 [B].

    With `base` the outputs of both networks are added, as in `Prior`. With `constraint` only the
    actions that it allows have a probability above 0.
    """
    device = network.head.weight.device.type
    was_training = network.training
    network.eval()
    if device == "cpu":  # shared prefixes are read once per batch, so sort by them
        order = np.lexsort(tokens.T[::-1])
    else:
        order = np.argsort(lengths)
    parts = [order[i : i + batch] for i in range(0, len(order), batch)]
    autocasts = torch.is_autocast_enabled(device)  # a setting of this thread, to set in the others
    networks = [network] if base is None else [network, base]

    def read(rows: np.ndarray) -> np.ndarray:
        with torch.no_grad(), autocast(device, enabled=autocasts):
            return _episode_log_probs(networks, tokens[rows], lengths[rows], constraint)

    with unshared_operations() as threads:
        found = share([partial(read, rows) for rows in parts], threads if device == "cpu" else 1)
    network.train(was_training)
    out = np.empty(len(tokens))
    for rows, values in zip(parts, found, strict=True):
        out[rows] = values
    return out


def _episode_log_probs(
    networks: Sequence[RecurrentNetwork],
    tokens: np.ndarray,
    lengths: np.ndarray,
    constraint: Constraint | None,
) -> np.ndarray:
    """log p of episodes [B,T] under the sum of the networks' outputs, float64 [B]."""
    device, longest = networks[0].head.weight.device, int(lengths.max())
    actions = torch.from_numpy(tokens[:, :longest].astype(np.int64)).to(device)
    ends = torch.from_numpy(lengths.astype(np.int64)).to(device)
    outputs = [network(actions, ends) for network in networks]
    logits = sum(outputs[1:], outputs[0])
    if constraint is not None:
        masks = constraint.masks(tokens[:, :longest], lengths)
        logits = allowed_only(logits, torch.from_numpy(masks).to(device))
    log_probs = action_log_probs(logits, actions)
    return (log_probs.double() * step_mask(ends, longest)).sum(1).cpu().numpy()


def as_tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Copy arrays to tensors; arrays from Ray's object store are read-only."""
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def build_prior(metadata: str, weights: Mapping[str, Tensor]) -> Prior:
    """Build a prior from `prior.json` as text and its tensors. Raises ValueError or KeyError."""
    parts = json.loads(metadata)
    architecture = Architecture(**parts["architecture"])
    encoding = encoding_from_metadata(parts)
    if encoding.vocabulary.size != architecture.vocabulary:
        raise ValueError(
            f"{encoding.vocabulary.size} tokens, but a network for {architecture.vocabulary}"
        )
    prefixes = ["", BASE_PREFIX] if any(k.startswith(BASE_PREFIX) for k in weights) else [""]
    networks = []
    for prefix in prefixes:
        network = RecurrentNetwork(architecture)
        own = {k: v for k, v in weights.items() if k.startswith(BASE_PREFIX) == bool(prefix)}
        network.load_state_dict({k.removeprefix(prefix): v.float() for k, v in own.items()})
        networks.append(network.eval())
    base = networks[1] if len(networks) > 1 else None
    return Prior(encoding, networks[0], parts.get("card", {}), base)


def load_prior(name_or_where: Where) -> Prior:
    """Load a shipped prior by name, or one from a directory, or a file of REINVENT's. Raises
    PriorError, and ValueError where another package's encoding can't be loaded."""
    encodings()
    with found_prior(name_or_where) as place:
        return _read(place)


def _read(path: Location) -> Prior:
    if is_reinvent(path):
        parts = parts_of(path.read(), str(path))
        try:
            return build_prior(*parts)
        except _BROKEN as error:
            raise PriorError(f"{path} can't be a prior here: its network isn't whole") from error
    try:
        metadata = (path / METADATA_FILE).read().decode("utf-8")
        prior = build_prior(metadata, load((path / WEIGHTS_FILE).read()))
        if (path / TRAINING_FILE).is_file():
            files = (path / TRAINING_FILE, path / HELD_OUT_FILE)
            prior.data = Data(*(gzip.decompress(f.read()).decode().split() for f in files))
        return prior
    except _BROKEN as error:
        raise PriorError(f"{path} is not a whole prior: {error}") from error

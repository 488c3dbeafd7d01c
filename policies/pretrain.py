"""Maximum-likelihood training of a prior.

The learning rate warms up, stays constant, and falls linearly to zero over the last part of the
training. So `--resume` with more epochs can continue from a checkpoint of the constant part.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import cross_entropy

from sequence_tutor.policies.encodings.base import Encoding, pad
from sequence_tutor.policies.kernels.device import autocast, keep_freed_memory
from sequence_tutor.policies.kernels.threads import share, unshared_operations
from sequence_tutor.policies.network import Architecture, RecurrentNetwork, step_mask
from sequence_tutor.policies.pretrain_settings import PretrainSettings
from sequence_tutor.policies.prior import Data, Prior, token_log_probs

STATE_FILE, WEIGHTS_STATE_FILE = "training.json", "training.safetensors"
# Least number of rows per thread: products of fewer rows are slow.
LEAST_ROWS = 32


@dataclass(frozen=True)
class Progress:
    """A report of the training, every 50 updates and after each epoch."""

    epoch: float
    """Epochs trained so far, with fractions."""
    step: int
    """Updates so far."""
    steps: int
    """Updates planned in all."""
    train_nll: float
    """Mean NLL on the training sequences of this epoch so far, nats per sequence."""
    validation_nll: float | None
    """Mean NLL of the held-out sequences, nats per sequence; None within an epoch."""
    sequences_per_s: float
    """Training sequences per second in this epoch."""


class Pretraining:
    """The state of one maximum-likelihood training; `save` and `restore` cover all of it.

    `held_out` are sequences to validate with. Without them a share of `sequences` is held out.
    `groups` numbers the piece that each sequence was cut from: then whole pieces are held out,
    since sequences of one piece may overlap or be similar.
    `start` is a network of the settings' sizes to begin with; then the best prior is never worse on
    the held-out sequences than that one. `origin` says in the card where it comes from.
    """

    def __init__(
        self,
        encoding: Encoding,
        sequences: list[str],
        settings: PretrainSettings,
        device: str,
        groups: Sequence[int] = (),
        held_out: Sequence[str] = (),
        start: RecurrentNetwork | None = None,
        origin: Mapping[str, Any] | None = None,
    ) -> None:
        keep_freed_memory()
        self.encoding, self.settings, self.device = encoding, settings, torch.device(device)
        torch.manual_seed(settings.seed)
        self.random = np.random.default_rng(settings.seed)
        if not held_out:
            groups = groups or range(len(sequences))
            chosen = _held_out(groups, settings.validation, settings.seed)
            if chosen.all():
                raise ValueError(
                    "training needs at least two sequences, of two pieces (distinct molecules, "
                    "files of music), one to train on and one to validate with; give more data, "
                    "or data to validate with by --validation-data"
                )
            held_out = list(compress(sequences, chosen))
            sequences = list(compress(sequences, ~chosen))
        self.data = Data(list(sequences), list(held_out))
        self.validation = pad([encoding.encode(s) for s in held_out])
        self.train = pad([encoding.encode(s) for s in sequences])
        self.network = RecurrentNetwork(
            Architecture(
                settings.cell,
                encoding.vocabulary.size,
                settings.embedding,
                settings.hidden,
                settings.layers,
            ),
            settings.dropout,
        ).to(self.device)
        self.origin = dict(origin or {})
        self.starts = start is not None
        if start is not None:
            self.network.load_state_dict(start.state_dict())
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=settings.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.steps_per_epoch = math.ceil(len(self.train[0]) / settings.batch)
        self.epoch = self.step = self.bad_epochs = 0
        self.best_nll = math.inf
        self.history: list[dict[str, float]] = []

    @property
    def total_steps(self) -> int:
        return self.settings.epochs * self.steps_per_epoch

    def learning_rate(self, step: int) -> float:
        """Learning rate of a step: warm-up, plateau, linear decay to zero."""
        s = self.settings
        decay = max(1.0, s.decay_share * self.total_steps)
        left = (self.total_steps - step) / decay
        return s.learning_rate * max(0.0, min(1.0, (step + 1) / max(1, s.warmup), left))

    def run(self, out: Path, report: Callable[[Progress], None]) -> Prior:
        """Train to the end; checkpoint each epoch under `out`; return the best prior."""
        if self.starts and self.step == 0:
            self.best_nll = self.validation_nll()
            self._prior().save(out)
        while self.epoch < self.settings.epochs:
            started, seen, total = time.perf_counter(), 0, 0.0
            for rows in self._batches():
                total += self._update(rows) * len(rows)
                seen += len(rows)
                if self.step % 50 == 0:
                    speed = seen / (time.perf_counter() - started)
                    report(self._progress(total / seen, None, speed))
            self.epoch += 1
            nll = self.validation_nll()
            self.history.append(
                {"epoch": self.epoch, "train_nll": total / seen, "validation_nll": nll}
            )
            report(self._progress(total / seen, nll, seen / (time.perf_counter() - started)))
            self.bad_epochs = 0 if nll < self.best_nll else self.bad_epochs + 1
            if nll < self.best_nll:
                self.best_nll = nll
                self._prior().save(out)
            self.save(out)
            if self.bad_epochs >= self.settings.patience:
                break
        return self._prior()

    @torch.no_grad()
    def validation_nll(self) -> float:
        """Mean NLL of the held-out sequences, nats per sequence."""
        return float(-token_log_probs(self.network, *self.validation).mean())

    def _progress(self, train_nll: float, nll: float | None, speed: float) -> Progress:
        epoch = self.step / self.steps_per_epoch
        return Progress(epoch, self.step, self.total_steps, train_nll, nll, speed)

    def _batches(self) -> Iterator[np.ndarray]:
        """Yield the rows of each batch of an epoch, from random pools sorted by length, so that
        batches have little padding."""
        size = self.settings.batch
        order = self.random.permutation(len(self.train[0]))
        pools = [order[i : i + 50 * size] for i in range(0, len(order), 50 * size)]
        for pool in pools:
            pool = pool[np.argsort(self.train[1][pool], kind="stable")]
            batches = [pool[i : i + size] for i in range(0, len(pool), size)]
            for i in self.random.permutation(len(batches)):
                yield batches[i]

    def _update(self, rows: np.ndarray) -> float:
        """One optimiser step on rows of the training set; returns mean NLL, nats per sequence.

        Threads share the rows and compute separate gradients; the dropout masks don't depend on
        the number of threads.
        """
        tokens, lengths = self.train[0][rows], self.train[1][rows].astype(np.int64)
        steps, count = int(lengths.max()), int(lengths.sum())
        self.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(self.step)
        with unshared_operations() as threads:
            on_cpu = self.device.type == "cpu"
            dropout = self.network.draw_dropout(steps, len(rows)) if on_cpu else None

            def learn(part: np.ndarray) -> tuple[Tensor, tuple[Tensor, ...]]:
                longest = int(lengths[part].max())
                actions = torch.from_numpy(tokens[part, :longest].astype(np.int64))
                kept = None if dropout is None else dropout[:, :longest, part]
                nll = self._nll(actions, torch.from_numpy(lengths[part]), kept)
                grads = torch.autograd.grad(nll / count, list(self.network.parameters()))
                return nll.detach(), grads

            parts = min(threads, len(rows) // LEAST_ROWS) if on_cpu else 1
            shares = np.array_split(np.arange(len(rows)), max(1, parts))
            found = share([partial(learn, part) for part in shares], threads)
            for parameter, *grads in zip(
                self.network.parameters(), *(grads for _, grads in found), strict=True
            ):
                parameter.grad = sum(grads[1:], grads[0])
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimizer.step()
        self.step += 1
        return float(sum(nll for nll, _ in found)) / len(rows)

    def _nll(self, actions: Tensor, ends: Tensor, dropout: Tensor | None) -> Tensor:
        """Sum of the NLL of all actions, in nats: int64 [B,T], [B] -> scalar."""
        actions, ends = actions.to(self.device), ends.to(self.device)
        mask = step_mask(ends, actions.shape[1])
        with autocast(self.device.type):
            if dropout is None:
                logits = self.network(actions, ends)
            else:
                logits = self.network.forward_with(dropout, actions)
        return cross_entropy(logits[mask], actions[mask], reduction="sum")

    def _prior(self) -> Prior:
        card = {"training": asdict(self.settings), "history": self.history, **self.origin}
        return Prior(self.encoding, self.network, card)

    def save(self, out: Path) -> None:
        """Write everything that `restore` needs, each file by an atomic rename."""
        out.mkdir(parents=True, exist_ok=True)
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        for i, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{k}": torch.as_tensor(v) for k, v in state.items()}
        tensors["torch_rng"] = torch.get_rng_state()
        save_file(tensors, out / (WEIGHTS_STATE_FILE + ".tmp"))
        state = {
            "settings": asdict(self.settings),
            "epoch": self.epoch,
            "step": self.step,
            "best_nll": self.best_nll,
            "bad_epochs": self.bad_epochs,
            "history": self.history,
            "numpy_rng": self.random.bit_generator.state,
            "starts": self.starts,
        }
        (out / (STATE_FILE + ".tmp")).write_text(json.dumps(state))
        for name in (WEIGHTS_STATE_FILE, STATE_FILE):
            os.replace(out / (name + ".tmp"), out / name)

    def restore(self, out: Path) -> None:
        """Load the state that `save` wrote. Raises ValueError where there is none."""
        if not (out / STATE_FILE).is_file():
            raise ValueError(f"{out} has no training to resume")
        state = json.loads((out / STATE_FILE).read_text())
        if state.get("starts", False) != self.starts:
            raise ValueError(
                f"the training in {out} {'began without' if self.starts else 'needs the'} --from"
                f"{'' if self.starts else ' that it began with'}"
            )
        tensors = load_file(out / WEIGHTS_STATE_FILE)
        prefix = "network."
        self.network.load_state_dict(
            {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        )
        optimizer = self.optimizer.state_dict()
        optimizer["state"] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer."):
                _, i, name = key.split(".")
                optimizer["state"].setdefault(int(i), {})[name] = value
        self.optimizer.load_state_dict(optimizer)
        torch.set_rng_state(tensors["torch_rng"])
        self.random.bit_generator.state = state["numpy_rng"]
        self.epoch, self.step = state["epoch"], state["step"]
        self.best_nll, self.bad_epochs = state["best_nll"], state["bad_epochs"]
        self.history = state["history"]


def _held_out(groups: Sequence[int], share: float, seed: int) -> np.ndarray:
    """bool [B]: the sequences of about `share` of the groups, at least one group."""
    pieces, piece_of = np.unique(np.asarray(groups), return_inverse=True)
    chosen = np.zeros(len(pieces), dtype=bool)
    order = np.random.default_rng(seed).permutation(len(pieces))
    chosen[order[: max(1, round(share * len(pieces)))]] = True
    return chosen[piece_of]

"""Makes KL-control updates of the networks from training batches; doesn't use Ray.

The learner on Ray and the local engine both use this class, so the same batches give the same
weights in both, bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sequence_tutor.distributed.learner_config import LearnerConfig
from sequence_tutor.distributed.types import LearnerReport, TrainingBatch, Weights
from sequence_tutor.policies.encodings.constraint import Constraint
from sequence_tutor.policies.kernels.cuda_graph import CapturedByShape
from sequence_tutor.policies.kernels.prior_cache import CAPACITY, PriorCache
from sequence_tutor.policies.kl_control import KLControlSettings
from sequence_tutor.policies.kl_control_model import KLControlModel
from sequence_tutor.policies.network import RecurrentNetwork
from sequence_tutor.policies.prior import as_tensors

# The name of the temperature in a checkpoint.
TEMPERATURE = "temperature.learner"


def build_model(
    prior: RecurrentNetwork,
    learner: LearnerConfig,
    seed: int,
    constraint: Constraint | None = None,
) -> KLControlModel:
    """The networks of a learner. The prior has no value head; that one is drawn from the seed."""
    torch.manual_seed(seed)
    return KLControlModel(
        prior,
        learner.algorithm,
        KLControlSettings(learner.gamma, learner.mixing, learner.huber),
        learner.log_z == "learned",
        target_rate=learner.target_rate,
        constraint=constraint,
    )


class Updater:
    """Makes one update of each training batch.

    loss: function that computes a batch's loss with `model`, by default `model.loss`; with several
    learners RLlib wraps it. remembers: whether to cache the prior's log-probabilities of each
    sequence for its next draw. A repeatable run must not: after a resume the cache would be empty.
    updates: number of updates made.
    """

    def __init__(
        self,
        model: KLControlModel,
        learner: LearnerConfig,
        device: torch.device,
        loss: Callable[..., Any] | None = None,
        remembers: bool = False,
    ) -> None:
        self.model, self.updates = model, 0
        fixed = learner.temperature
        self._temperature = math.nan if fixed == "auto" else fixed  # of the last updates
        self._learner, self._device = learner, device
        self._loss = model.loss if loss is None else loss
        self.optimizers = _optimizers(model, learner, device)
        capacity = CAPACITY if remembers else 0
        self.prior_cache = PriorCache(self._prior_of_actions, device, capacity)
        # no graphs with several learners, as they wait for each other within an update
        alone = device.type == "cuda" and learner.count == 1
        self._captured = CapturedByShape(self._learn, device) if alone else None

    def update(
        self, batches: Sequence[TrainingBatch], temperature: float | None = None
    ) -> LearnerReport:
        """One update per batch, in order. temperature: c, by default that of the last updates or
        of the config. Raises FloatingPointError if the network diverged."""
        started = time.perf_counter()
        if temperature is not None and batches:
            self._use_temperature(temperature, batches)
        log_priors: list[np.ndarray | None] = [None] * len(batches)
        if self.model.actions_suffice:
            log_priors[:] = self.prior_cache([(b.tokens, b.lengths) for b in batches])
        found, behind = [], []
        for batch, log_prior in zip(batches, log_priors, strict=True):
            behind.append(staleness(batch, self.updates))
            found.append(self._one_update(batch, log_prior))
            self.updates += 1
        loss, residual, start_value = self._finite(found)
        return LearnerReport(
            updates=len(batches),
            total_updates=self.updates,
            rows=sum(len(batch.lengths) for batch in batches),
            lost=0,
            loss=float(loss.mean()),
            residual=float(residual.mean()),
            start_value=float(start_value[-1]),
            staleness=float(np.mean(behind or [np.nan])),
            fetch_s=0.0,
            learn_s=time.perf_counter() - started,
            publish_s=0.0,
        )

    def policy_weights(self) -> Weights:
        """The parameters of the policy's network, by name."""
        state = self.model.policy.state_dict()
        return {k: v.detach().cpu().numpy().copy() for k, v in state.items()}

    def export_tensors(self) -> Weights:
        """Networks (online, target, log Z), optimiser moments and the state of the random numbers,
        as arrays by name."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        for name, optimizer in self.optimizers.items():
            for i, state in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer.{name}.{i}.{k}": v for k, v in state.items()}
        tensors["rng.torch"] = torch.get_rng_state()
        arrays = {k: v.detach().cpu().numpy().copy() for k, v in tensors.items()}
        if self._learner.temperature == "auto":
            arrays[TEMPERATURE] = np.array([self._temperature])
        return arrays

    def import_tensors(self, tensors: Weights, updates: int) -> None:
        """The inverse of `export_tensors`."""
        parts = as_tensors(tensors)
        if TEMPERATURE in tensors:
            self._temperature = tensors[TEMPERATURE].item()
        prefix = "model."
        self.model.load_state_dict(
            {k.removeprefix(prefix): v for k, v in parts.items() if k.startswith(prefix)}
        )
        for name, optimizer in self.optimizers.items():
            state: dict[int, dict[str, Tensor]] = {}
            prefix = f"optimizer.{name}."
            for key, value in parts.items():
                if key.startswith(prefix):
                    i, moment = key.removeprefix(prefix).split(".")
                    state.setdefault(int(i), {})[moment] = value
            optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
        torch.set_rng_state(parts["rng.torch"])
        self.updates = updates
        if self._captured is not None:
            self._captured.forget()  # the graphs point to the old moments

    def _use_temperature(self, temperature: float, batches: Sequence[TrainingBatch]) -> None:
        """Take up another c, and have log Z follow: the returns of these batches change by a mean
        of E[r] (1/c' - 1/c), and so does log Z, whose derivative by 1/c is the mean reward. Without
        that all residuals would be wrong by the same amount, which can be many nats."""
        before, self._temperature = self._temperature, temperature
        if temperature == before or math.isnan(before):
            return
        rewards = np.concatenate([batch.rewards.sum(1) for batch in batches])
        lengths = np.concatenate([batch.lengths for batch in batches])
        change = float(rewards.mean(dtype=np.float64)) * (1 / temperature - 1 / before)
        self.model.change_returns(change, float(lengths.mean()))

    def _prior_of_actions(self, actions: Tensor, lengths: Tensor) -> Tensor:
        """See `KLControlModel.prior_of_actions`."""
        allowed = None
        if (constraint := self.model.constraint) is not None:
            masks = constraint.masks(actions.cpu().numpy(), lengths.cpu().numpy())
            allowed = torch.from_numpy(masks).to(self._device)
        return self.model.prior_of_actions(actions, lengths, allowed)

    def _one_update(self, batch: TrainingBatch, log_prior: np.ndarray | None) -> Tensor:
        """Loss, residual, start value and the gradient's norm, float32 [4], on the device. Reading
        them waits for the GPU."""
        learner = self._learner
        arrays = {
            "actions": batch.tokens.astype(np.int64),
            "lengths": batch.lengths.astype(np.int64),
            "rewards": batch.rewards / np.float32(self._temperature),
        }
        if log_prior is not None:
            arrays["log_prior"] = log_prior
        if (constraint := self.model.constraint) is not None:
            arrays["allowed"] = constraint.masks(batch.tokens, batch.lengths)
        if self._device.type != "cuda":
            tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        else:
            tensors = {name: _pinned(array) for name, array in arrays.items()}
        freeze = learner.algorithm != "path" and self.updates < learner.value_warmup
        if self._captured is not None and not freeze:
            return self._captured(tensors)
        on_device = {k: v.to(self._device, non_blocking=True) for k, v in tensors.items()}
        return self._learn(on_device, freeze)

    def _learn(self, batch: dict[str, Tensor], freeze_policy: bool = False) -> Tensor:
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        report = self._loss(**batch, freeze_policy=freeze_policy)
        report.loss.backward()
        norms = []
        for optimizer in self.optimizers.values():
            parameters = optimizer.param_groups[0]["params"]
            norms.append(torch.nn.utils.clip_grad_norm_(parameters, self._learner.max_grad_norm))
            optimizer.step()
        self.model.after_update()
        numbers = report.loss, report.residual, report.start_value, torch.stack(norms).sum()
        return torch.stack([number.detach().float() for number in numbers])

    def _finite(self, found: list[Tensor]) -> np.ndarray:
        """Losses, residuals and start values of the last N updates, [3,N]; one column of NaN if N
        is 0. Raises FloatingPointError if the network diverged."""
        if not found:
            return np.full((3, 1), np.nan)
        numbers = torch.stack(found).cpu().numpy()  # the only place that waits for the GPU
        for i, (loss, _, _, gradient) in enumerate(numbers):
            for what, value in (("loss", loss), ("gradient", gradient)):
                if not np.isfinite(value):
                    updates = self.updates - len(found) + i
                    raise FloatingPointError(_diverged(what, float(value), updates))
        return numbers.T[:3]


def staleness(batch: TrainingBatch, updates: int) -> float:
    """Mean staleness in updates, over the rows that a policy of this run generated; `updates` were
    made so far. Other rows have version -1; 0 if there are only such rows."""
    made = batch.versions[batch.versions >= 0]
    return float((updates - made).mean()) if len(made) else 0.0


def _optimizers(
    model: KLControlModel, learner: LearnerConfig, device: torch.device
) -> dict[str, torch.optim.Optimizer]:
    """One Adam each for the policy, the value head and the level of the return, by name."""
    online = model.online
    groups: list[tuple[str, list[Any], float]] = [
        ("policy", list(online.network.parameters()), learner.learning_rate),
        ("level", [online.level], learner.level_learning_rate),
    ]
    if online.value is not None:
        groups.append(("value", list(online.value.parameters()), learner.value_learning_rate))
    capturable = device.type == "cuda"
    return {
        name: torch.optim.Adam(parameters, lr=rate, fused=True, capturable=capturable)
        for name, parameters, rate in groups
    }


def _pinned(array: np.ndarray) -> Tensor:
    """An array [B], [B,T] or [B,T,V] as a tensor in pinned memory, which is copied to the GPU in
    the background. T is padded with zeros to a multiple of eight, so that few CUDA graphs suffice.
    """
    if array.ndim > 1:
        rest = [(0, 0)] * (array.ndim - 2)
        array = np.pad(array, [(0, 0), (0, -array.shape[1] % 8), *rest])
    return torch.from_numpy(np.ascontiguousarray(array)).pin_memory()


def _diverged(what: str, value: float, updates: int) -> str:
    return (
        f"the {what} became {value} after {updates} updates; try a larger "
        "learner.temperature, a smaller learner.learning_rate or learner.huber"
    )

"""The learner: off-policy KL-control updates inside RLlib's learner group."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import ray
import torch
from ray.exceptions import ObjectLostError, OwnerDiedError, RayActorError
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.replay.messages import EmptyReplayError
from sequence_tutor.distributed.types import LearnerReport, TrainingBatch
from sequence_tutor.distributed.weight_board import Weights, board_name, fetch_prior
from sequence_tutor.policies.kernels.cuda_graph import CapturedByShape
from sequence_tutor.policies.kernels.device import choose_repeatable_kernels, keep_freed_memory
from sequence_tutor.policies.kernels.prior_cache import CAPACITY, PriorCache
from sequence_tutor.policies.kl_control import KLControlSettings
from sequence_tutor.policies.kl_control_model import KLControlModel
from sequence_tutor.policies.prior import as_tensors, build_prior


class KLControlModule(TorchRLModule):  # type: ignore[misc]
    """The networks of `policies.model` as RLlib sees them."""

    def setup(self) -> None:
        run: RunConfig = self.model_config["run"]
        parts = fetch_prior(self.model_config["run_id"])
        learner = run.learner
        self.model = KLControlModel(
            build_prior(parts.metadata, as_tensors(parts.weights)).network,
            learner.algorithm,
            KLControlSettings(learner.gamma, learner.mixing, learner.huber),
            learner.log_z == "learned",
            learner.target_rate,
        )

    def _forward_train(self, batch: dict[str, Any], **_: Any) -> dict[str, Any]:
        report = self.model.loss(**batch)
        return {
            "loss": report.loss,
            "residual": report.residual,
            "start_value": report.start_value,
        }

    def _forward(self, batch: dict[str, Any], **_: Any) -> dict[str, Any]:
        raise NotImplementedError("actors generate with policies.sampler, not with the RLModule")


class KLControlLearner(TorchLearner):  # type: ignore[misc]
    """Takes references to training batches, makes one update of each, publishes the weights."""

    def build(self) -> None:
        keep_freed_memory()
        choose_repeatable_kernels()
        run: RunConfig = self.config.run
        torch.set_num_threads(run.learner.threads)
        torch.manual_seed(run.seed)
        self.updates = 0
        super().build()
        # a resumed run's cache would be empty, and its sums different in the last bit
        capacity = CAPACITY if run.mode == "asynchronous" else 0
        self.prior_cache = PriorCache(self.model.prior_of_actions, self._device, capacity)
        # not with DDP, whose learners wait for each other within an update
        alone = self._device.type == "cuda" and run.learner.count == 1
        self._captured = CapturedByShape(self._learn, self._device) if alone else None

    @property
    def model(self) -> KLControlModel:
        """The networks, whether or not DDP wraps them."""
        module = self.module[DEFAULT_MODULE_ID]
        return module.unwrapped().model  # type: ignore[no-any-return]

    @property
    def rank(self) -> int:
        """Which learner of the group this is."""
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        return torch.distributed.get_rank() if distributed else 0

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """Adam for the policy, the value head and the level, each at its own rate."""
        learner, online = self.config.run.learner, self._module[module_id].unwrapped().model.online
        groups: list[tuple[str, list[Any], float]] = [
            ("policy", list(online.network.parameters()), learner.learning_rate),
            ("level", [online.level], learner.level_learning_rate),
        ]
        if online.value is not None:
            groups.append(("value", list(online.value.parameters()), learner.value_learning_rate))
        for name, parameters, rate in groups:
            self.register_optimizer(
                module_id=module_id,
                optimizer_name=name,
                optimizer=torch.optim.Adam(
                    parameters, lr=rate, fused=True, capturable=self._device.type == "cuda"
                ),
                params=parameters,
                lr_or_lr_schedule=rate,
            )

    def get_parameters(self, module: Any) -> list[Tensor]:
        """What learns; prior and target networks don't."""
        return [p for p in module.parameters() if p.requires_grad]

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict[str, Any], fwd_out: dict[str, Any]
    ) -> Tensor:
        return fwd_out["loss"]  # type: ignore[no-any-return]

    def apply_gradients(self, gradients_dict: dict[str, Tensor]) -> None:
        """Step each optimiser. RLlib's own looks at every gradient three times over for infinities,
        which takes as long as a tenth of the update, and then goes on with zeros; here `update`
        raises."""
        self._gradient = torch.stack(torch._foreach_norm(list(gradients_dict.values()))).sum()
        for parameter, gradient in gradients_dict.items():
            self._params[parameter].grad = gradient
        for _, optimizer in self.get_optimizers_for_module(DEFAULT_MODULE_ID):
            optimizer.step()

    def update(self, *, training_data: Any, publish: bool = True, **_: Any) -> LearnerReport:
        """One update per batch, in order; then the weights go to the board."""
        started = time.perf_counter()
        references = list(training_data.batch_refs)
        batches = self._in_step(_fetch(references))
        fetched = time.perf_counter()
        log_priors: list[np.ndarray | None] = [None] * len(batches)
        if self.model.actions_suffice:
            log_priors[:] = self.prior_cache([(b.tokens, b.lengths) for b in batches])
        found, staleness = [], []
        for batch, log_prior in zip(batches, log_priors, strict=True):
            staleness.append(self._staleness(batch))
            found.append(self._one_update(batch, log_prior))
            self.updates += 1
        loss, residual, start_value = self._finite(found)
        learned = time.perf_counter()
        if publish and self.rank == 0:
            self.publish()
        return LearnerReport(
            updates=len(batches),
            total_updates=self.updates,
            rows=sum(len(batch.lengths) for batch in batches),
            lost=len(references) - len(batches),
            loss=float(loss.mean()),
            residual=float(residual.mean()),
            start_value=float(start_value[-1]),
            staleness=float(np.mean(staleness or [np.nan])),
            fetch_s=fetched - started,
            learn_s=learned - fetched,
            publish_s=time.perf_counter() - learned,
        )

    def _in_step(self, batches: list[TrainingBatch]) -> list[TrainingBatch]:
        """As many batches as every learner of the group has, or they would wait for each other."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return batches
        fewest = torch.tensor([len(batches)], device=self._device)
        torch.distributed.all_reduce(fewest, torch.distributed.ReduceOp.MIN)
        return batches[: int(fewest)]

    def _one_update(self, batch: TrainingBatch, log_prior: np.ndarray | None) -> Tensor:
        """Loss, residual, start value and the gradient's norm, float32 [4], to be waited for."""
        learner = self.config.run.learner
        arrays = {
            "actions": batch.tokens.astype(np.int64),
            "lengths": batch.lengths.astype(np.int64),
            "rewards": batch.rewards / np.float32(learner.temperature),
        }
        if log_prior is not None:
            arrays["log_prior"] = log_prior
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
        output, losses, _ = self._update(
            {DEFAULT_MODULE_ID: batch | {"freeze_policy": freeze_policy}}
        )
        self.model.after_update()
        found = output[DEFAULT_MODULE_ID]
        numbers = losses[DEFAULT_MODULE_ID], found["residual"], found["start_value"], self._gradient
        return torch.stack([number.detach().float() for number in numbers])

    def _staleness(self, batch: TrainingBatch) -> float:
        """Mean over the rows that a policy of this run made, in updates; others have version -1."""
        made = batch.versions[batch.versions >= 0]
        return float((self.updates - made).mean()) if len(made) else 0.0

    def _finite(self, found: list[Tensor]) -> np.ndarray:
        """Losses, residuals and start values of the last updates, [3,N], of NaN where there are
        none. Raises FloatingPointError if the network diverged."""
        if not found:
            return np.full((3, 1), np.nan)
        numbers = torch.stack(found).cpu().numpy()  # the one wait for the GPU
        for i, (loss, _, _, gradient) in enumerate(numbers):
            for what, value in (("loss", loss), ("gradient", gradient)):
                if not np.isfinite(value):
                    updates = self.updates - len(found) + i
                    raise FloatingPointError(_diverged(what, float(value), updates))
        return numbers.T[:3]

    def publish(self) -> None:
        """Put the policy's weights once and tell the board."""
        reference = ray.put(self.policy_weights())
        board = ray.get_actor(board_name(self.config.run_id))
        ray.get(board.publish.remote(self.updates, [reference]))

    def policy_weights(self) -> Weights:
        """The policy's network as float32 arrays by name."""
        state = self.model.policy.state_dict()
        return {k: v.detach().cpu().numpy().copy() for k, v in state.items()}

    def export_tensors(self) -> Weights:
        """Networks (online, target, log Z), optimiser moments and the state of the random numbers,
        as arrays by name."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        for name, optimizer in self.get_optimizers_for_module(DEFAULT_MODULE_ID):
            for i, state in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer.{name}.{i}.{k}": v for k, v in state.items()}
        tensors["rng.torch"] = torch.get_rng_state()
        return {k: v.detach().cpu().numpy().copy() for k, v in tensors.items()}

    def import_tensors(self, tensors: Weights, updates: int) -> None:
        """The inverse of `export_tensors`."""
        parts = as_tensors(tensors)
        prefix = "model."
        self.model.load_state_dict(
            {k.removeprefix(prefix): v for k, v in parts.items() if k.startswith(prefix)}
        )
        for name, optimizer in self.get_optimizers_for_module(DEFAULT_MODULE_ID):
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
            self._captured.forget()  # the moments are elsewhere now


def publish_from_first(learner: KLControlLearner) -> None:
    """Publish the weights, once for all learners of a group."""
    if learner.rank == 0:
        learner.publish()


def _pinned(array: np.ndarray) -> Tensor:
    """[B,T] or [B] as a tensor that the GPU fetches by itself. T is made longer, by zeros, to a
    multiple of eight: so there are few graphs."""
    if array.ndim > 1:
        array = np.pad(array, ((0, 0), (0, -array.shape[1] % 8)))
    return torch.from_numpy(np.ascontiguousarray(array)).pin_memory()


def _diverged(what: str, value: float, updates: int) -> str:
    return (
        f"the {what} became {value} after {updates} updates; try a larger "
        "learner.temperature, a smaller learner.learning_rate or learner.huber"
    )


def _fetch(references: list[ray.ObjectRef]) -> list[TrainingBatch]:
    """The batches that there are: one may have gone down with its shard's node, or its shard come
    back with nothing."""
    batches = []
    for reference in references:
        try:
            batches.append(ray.get(reference))
        except (ObjectLostError, OwnerDiedError, RayActorError, EmptyReplayError):
            continue
    return batches

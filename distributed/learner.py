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
from sequence_tutor.distributed.types import LearnerReport, TrainingBatch
from sequence_tutor.distributed.weights import Weights, board_name, fetch_prior
from sequence_tutor.policies.device import choose_repeatable_kernels, keep_freed_memory
from sequence_tutor.policies.kl_control import KLControlSettings
from sequence_tutor.policies.model import KLControlModel
from sequence_tutor.policies.prior import as_tensors, build_prior
from sequence_tutor.policies.prior_cache import CAPACITY, PriorCache


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
                optimizer=torch.optim.Adam(parameters, lr=rate, fused=True),
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
        which takes as long as a tenth of the update, and then goes on with zeros."""
        norms = torch.stack(torch._foreach_norm(list(gradients_dict.values())))
        if not torch.isfinite(norms.sum()):
            raise FloatingPointError(_diverged("gradient", float(norms.sum()), self.updates))
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
        numbers = [self._one_update(*both) for both in zip(batches, log_priors, strict=True)]
        learned = time.perf_counter()
        if publish and self.rank == 0:
            self.publish()
        # one row of NaN where every batch was lost, so that there is something to average
        table = np.array(numbers or [(np.nan,) * 4 + (0,)])
        loss, residual, start_value, staleness, rows = table.T
        return LearnerReport(
            updates=len(numbers),
            total_updates=self.updates,
            rows=int(rows.sum()),
            lost=len(references) - len(numbers),
            loss=float(loss.mean()),
            residual=float(residual.mean()),
            start_value=float(start_value[-1]),
            staleness=float(staleness.mean()),
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

    def _one_update(
        self, batch: TrainingBatch, log_prior: np.ndarray | None
    ) -> tuple[float, float, float, float, int]:
        learner, device = self.config.run.learner, self._device
        tensors = {
            "actions": torch.from_numpy(batch.tokens.astype(np.int64)).to(device),
            "lengths": torch.from_numpy(batch.lengths.astype(np.int64)).to(device),
            "rewards": torch.from_numpy(batch.rewards / np.float32(learner.temperature)).to(device),
            "freeze_policy": learner.algorithm != "path" and self.updates < learner.value_warmup,
        }
        if log_prior is not None:
            tensors["log_prior"] = torch.from_numpy(log_prior).to(device)
        output, losses, _ = self._update({DEFAULT_MODULE_ID: tensors})
        loss = float(losses[DEFAULT_MODULE_ID].detach())
        if not np.isfinite(loss):
            raise FloatingPointError(_diverged("loss", loss, self.updates))
        self.model.after_update()
        # version -1: rows that no policy of this run made
        staleness = self.updates - batch.versions[batch.versions >= 0]
        self.updates += 1
        out = output[DEFAULT_MODULE_ID]
        return (
            loss,
            float(out["residual"]),
            float(out["start_value"]),
            float(staleness.mean()) if len(staleness) else 0.0,
            len(batch.lengths),
        )

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


def publish_from_first(learner: KLControlLearner) -> None:
    """Publish the weights, once for all learners of a group."""
    if learner.rank == 0:
        learner.publish()


def _diverged(what: str, value: float, updates: int) -> str:
    return (
        f"the {what} became {value} after {updates} updates; try a larger "
        "learner.temperature, a smaller learner.learning_rate or learner.huber"
    )


def _fetch(references: list[ray.ObjectRef]) -> list[TrainingBatch]:
    """The batches that still exist: one may have gone down with its shard's node."""
    batches = []
    for reference in references:
        try:
            batches.append(ray.get(reference))
        except (ObjectLostError, OwnerDiedError, RayActorError):
            continue
    return batches

"""The learner: `Updater` inside RLlib's learner group, which places the learners on nodes.

Several learners share each update: RLlib wraps the networks and averages their gradients.
"""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import ray
import torch
from ray.exceptions import ObjectLostError, OwnerDiedError, RayActorError
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.learning.population import build_updater
from sequence_tutor.distributed.learning.updater import build_model
from sequence_tutor.distributed.packing import received
from sequence_tutor.distributed.replay.messages import EmptyReplayError
from sequence_tutor.distributed.types import LearnerReport, TrainingBatch
from sequence_tutor.distributed.weight_board import board_name, fetch_prior
from sequence_tutor.policies.kernels.device import choose_repeatable_kernels, keep_freed_memory
from sequence_tutor.policies.kl_control_model import KLControlModel
from sequence_tutor.policies.prior import as_tensors, build_prior


class KLControlModule(TorchRLModule):  # type: ignore[misc]
    """The networks of `policies.kl_control_model` as RLlib sees them."""

    def setup(self) -> None:
        run: RunConfig = received(self.model_config["run"])
        parts = fetch_prior(self.model_config["run_id"])
        prior = build_prior(parts.metadata, as_tensors(parts.weights))
        constraint = prior.encoding.constraint
        self.model = build_model(prior.network, run.learner, run.seed, constraint)

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
        run: RunConfig = self.config.whole_run()
        torch.set_num_threads(run.learner.threads)
        super().build()
        remembers = run.mode == "asynchronous"
        self.updater = build_updater(
            self.model, run.learner, run.seed, self._device, self._loss, remembers
        )

    @property
    def model(self) -> KLControlModel:
        """The networks, without RLlib's wrapper for several learners."""
        module = self.module[DEFAULT_MODULE_ID]
        return module.unwrapped().model  # type: ignore[no-any-return]

    @property
    def rank(self) -> int:
        """Number of this learner in its group, from 0."""
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        return torch.distributed.get_rank() if distributed else 0

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """Do nothing: `Updater` has the optimisers."""

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict[str, Any], fwd_out: dict[str, Any]
    ) -> Tensor:
        return fwd_out["loss"]  # type: ignore[no-any-return]

    def update(
        self,
        *,
        training_data: Any,
        temperature: float | None = None,
        publish: bool = True,
        **_: Any,
    ) -> LearnerReport:
        """Make one update per batch, in order, at this temperature or the config's; then publish
        the weights."""
        started = time.perf_counter()
        references = list(training_data.batch_refs)
        batches = self._in_step(_fetch(references))
        fetched = time.perf_counter()
        report = self.updater.update(batches, temperature)
        learned = time.perf_counter()
        if publish and self.rank == 0:
            self.publish()
        return replace(
            report,
            lost=len(references) - len(batches),
            fetch_s=fetched - started,
            publish_s=time.perf_counter() - learned,
        )

    def _loss(self, **batch: Any) -> Any:
        """The loss through RLlib's wrapper, which averages the gradients of several learners."""
        return SimpleNamespace(**self.module[DEFAULT_MODULE_ID].forward_train(batch))

    def _in_step(self, batches: list[TrainingBatch]) -> list[TrainingBatch]:
        """The first n batches, n being the fewest that a learner of the group has: with unequal
        numbers of updates the learners would wait for each other forever."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return batches
        fewest = torch.tensor([len(batches)], device=self._device)
        torch.distributed.all_reduce(fewest, torch.distributed.ReduceOp.MIN)
        return batches[: int(fewest)]

    def publish(self) -> None:
        """Put the policy's weights into the object store and their reference on the board."""
        reference = ray.put(self.updater.policy_weights())
        board = ray.get_actor(board_name(self.config.run_id))
        ray.get(board.publish.remote(self.updater.updates, [reference]))


def publish_from_first(learner: KLControlLearner) -> None:
    """Publish the weights if this is the first learner of its group."""
    if learner.rank == 0:
        learner.publish()


def _fetch(references: list[ray.ObjectRef]) -> list[TrainingBatch]:
    """The batches; skips those lost with a shard's node or drawn from an emptied shard."""
    batches = []
    for reference in references:
        try:
            batches.append(ray.get(reference))
        except (ObjectLostError, OwnerDiedError, RayActorError, EmptyReplayError):
            continue
    return batches

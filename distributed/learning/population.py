"""Several policies that learn from one record, in turn; doesn't use Ray.

Update k is one of policy k modulo N, on a batch drawn for it. The policies start alike and become
different through their temperatures and the batches that each draws. `Population` has the methods
of `Updater`, so that the learner and the local engine needn't know how many policies there are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from sequence_tutor.distributed.learner_config import LearnerConfig
from sequence_tutor.distributed.learning.updater import Updater, build_model, staleness
from sequence_tutor.distributed.population import joined, part_of
from sequence_tutor.distributed.types import LearnerReport, TrainingBatch, Weights
from sequence_tutor.policies.kl_control_model import KLControlModel


class Population:
    """Makes one update of each training batch, of the policy whose turn it is.

    members: an updater for each policy; multiples: of the temperature, one for each.
    """

    def __init__(self, members: Sequence[Updater], multiples: Sequence[float]) -> None:
        self.members, self._multiples = list(members), list(multiples)

    @property
    def updates(self) -> int:
        """Updates of all policies."""
        return sum(member.updates for member in self.members)

    def update(
        self, batches: Sequence[TrainingBatch], temperature: float | None = None
    ) -> LearnerReport:
        """As `Updater.update`. temperature: of a policy whose multiple is 1."""
        started, first, n = time.perf_counter(), self.updates, len(self.members)
        reports = []
        for member, (updater, multiple) in enumerate(
            zip(self.members, self._multiples, strict=True)
        ):
            own = batches[(member - first) % n :: n]
            if own:
                c = None if temperature is None else multiple * temperature
                reports.append(updater.update(own, c))
        if not reports:
            return self.members[0].update([])
        updates = [report.updates for report in reports]

        def mean(values: list[float]) -> float:
            return sum(u * v for u, v in zip(updates, values, strict=True)) / sum(updates)

        return replace(
            reports[-1],
            updates=sum(updates),
            total_updates=self.updates,
            rows=sum(report.rows for report in reports),
            loss=mean([report.loss for report in reports]),
            residual=mean([report.residual for report in reports]),
            start_value=reports[0].start_value,
            staleness=float(np.mean([staleness(b, first + i) for i, b in enumerate(batches)])),
            learn_s=time.perf_counter() - started,
        )

    def policy_weights(self) -> Weights:
        """The parameters of all policies' networks; see `population.joined`."""
        return joined([member.policy_weights() for member in self.members])

    def export_tensors(self) -> Weights:
        """The state of all policies as arrays by name."""
        return joined([member.export_tensors() for member in self.members])

    def import_tensors(self, tensors: Weights, updates: int) -> None:
        """The inverse of `export_tensors`."""
        n = len(self.members)
        for member, updater in enumerate(self.members):
            updater.import_tensors(part_of(tensors, member), (updates + n - 1 - member) // n)


def build_updater(
    model: KLControlModel,
    learner: LearnerConfig,
    seed: int,
    device: torch.device,
    loss: Callable[..., Any] | None = None,
    remembers: bool = False,
) -> Updater | Population:
    """What makes the updates of a run. model: the networks of the first policy, whose prior the
    others start from; for the rest see `Updater`."""
    multiples = learner.population
    first = Updater(model, _at(learner, multiples[0]), device, loss, remembers)
    if len(multiples) == 1 and multiples[0] == 1:
        return first
    others = [
        Updater(
            build_model(model.prior, learner, seed + member, model.constraint).to(device),
            _at(learner, multiple),
            device,
            remembers=remembers,
        )
        for member, multiple in enumerate(multiples[1:], start=1)
    ]
    return Population([first, *others], multiples)


def _at(learner: LearnerConfig, multiple: float) -> LearnerConfig:
    """The settings of a policy, with a fixed temperature multiplied."""
    if learner.temperature == "auto":
        return learner
    return learner.model_copy(update={"temperature": multiple * learner.temperature})

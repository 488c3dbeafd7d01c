"""RLlib's settings of a run, all derived from its `RunConfig`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.learner.learner_group import LearnerGroup
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.util.placement_group import get_current_placement_group

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.generating.actor import SequenceActor
from sequence_tutor.distributed.learning.learner import KLControlLearner, KLControlModule
from sequence_tutor.distributed.packing import received, sent
from sequence_tutor.distributed.ray_cluster.background_start import PendingLearnerGroup
from sequence_tutor.distributed.ray_cluster.join import start_ray


class SequenceTutorConfig(AlgorithmConfig):  # type: ignore[misc]
    """RLlib's settings of a run: `SequenceTutorConfig().tutor(run, directory)`.

    Our own settings are all in `run`; RLlib's are derived from it. A built algorithm has them in
    `packed_run` instead, `sent`, where they are large, since actors and learners get the config.
    """

    def __init__(self, algo_class: type | None = None) -> None:
        if algo_class is None:  # imported here: the two modules import each other
            from sequence_tutor.distributed.algorithm import SequenceTutor

            algo_class = SequenceTutor
        super().__init__(algo_class=algo_class)
        self.run: RunConfig | None = None
        self.packed_run = b""
        self.run_id = ""
        self.directory: str | None = None
        self.env_runner_cls = SequenceActor

    def tutor(self, run: RunConfig, directory: str | Path | None = None) -> SequenceTutorConfig:
        """Set the run. The record goes under `directory`, by default Tune's trial directory."""
        self.run = run.with_pins()
        self.directory = None if directory is None else str(directory)
        # this logger warns at each start about settings that we have chosen
        logging.getLogger("ray.rllib").setLevel(logging.ERROR)
        learner, actors = run.learner, run.actors
        # no seed for RLlib: actors and learners seed their own generators
        self.framework("torch").debugging(log_level="ERROR")
        self.env_runners(
            num_env_runners=actors.least,
            num_cpus_per_env_runner=1,
            num_gpus_per_env_runner=actors.gpus,
            custom_resources_per_env_runner=dict(actors.resources),
            create_local_env_runner=False,
            create_env_on_local_worker=False,
            merge_env_runner_states=False,
            broadcast_env_runner_states=False,
            max_requests_in_flight_per_env_runner=2,
            validate_env_runners_after_construction=True,
        )
        self.learners(
            num_learners=learner.count,
            num_cpus_per_learner=1,
            num_gpus_per_learner=learner.gpus,
            custom_resources_per_learner=dict(learner.resources),
        )
        self.training(
            learner_class=KLControlLearner,
            grad_clip=learner.max_grad_norm,
            grad_clip_by="global_norm",
        )
        self.fault_tolerance(
            restart_failed_env_runners=True,
            ignore_env_runner_failures=True,
            delay_between_env_runner_restarts_s=1.0,
            env_runner_health_probe_timeout_s=0.05,
        )
        self.reporting(min_time_s_per_iteration=0 if run.mode == "synchronous" else 1.0)
        self._dont_auto_sync_env_runner_states = True
        return self

    def whole_run(self) -> RunConfig:
        """Our own settings, in any process."""
        run: RunConfig | None = received(self.packed_run) if self.packed_run else self.run
        assert run is not None
        return run

    def build_algo(self, *args: Any, **kwargs: Any) -> Any:
        """Build the algorithm; starts or joins Ray first, unless Ray runs already."""
        if self.run is not None:
            start_ray(self.run)
        return super().build_algo(*args, **kwargs)

    def build_learner_group(self, **kwargs: Any) -> LearnerGroup | PendingLearnerGroup:
        """Start the learners in the background, so that generating and scoring begin without them.

        Under Tune they start in the foreground: a thread doesn't see the trial's placement group.
        """
        build = super().build_learner_group
        if get_current_placement_group() is not None:
            return build(**kwargs)
        return PendingLearnerGroup(lambda: build(**kwargs))

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """The module with the networks; it fetches the prior from the run's board."""
        return RLModuleSpec(
            module_class=KLControlModule,
            model_config={"run": self.packed_run or sent(self.run), "run_id": self.run_id},
        )

"""The engine on Ray: makes runs on a cluster that exists, or on one started on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ray.exceptions import RayError
from rich.console import Console

from sequence_tutor.distributed.bulk.assemble import Outputs
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.ray_cluster.address import check_cluster
from sequence_tutor.distributed.ray_cluster.join import enter_cluster
from sequence_tutor.distributed.stop_signal import StopRequest
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.rewards.isolation.reward import IsolatedReward
from sequence_tutor.rewards.rates import check_rates

if TYPE_CHECKING:
    from sequence_tutor.distributed.algorithm import SequenceTutor
    from sequence_tutor.distributed.ray_lines import RayLineScorers


class RayEngine:
    """Makes runs whose parts are Ray actors; `optimize` uses it by default."""

    # modules that take seconds to import; imported in the background while files are checked
    heavy = (
        "sequence_tutor.policies.prior",
        "sequence_tutor.distributed.algorithm",
        "sequence_tutor.distributed.metrics.writer",
    )
    # errors that its parts raise if a run can't go on
    errors: tuple[type[Exception], ...] = (RayError, RuntimeError, OSError)

    def prepare(self, run: RunConfig, scoring_only: bool = False) -> RunConfig:
        """The run, unchanged. Raises ClusterError if the cluster doesn't answer, and ValueError for
        a rate of requests that is too low for the number of scorers."""
        check_rates(run.reward, run.scorers.count)
        check_cluster()
        return run

    def reward(self, run: RunConfig) -> IsolatedReward:
        """The reward in child processes, for checks and the report."""
        return IsolatedReward(run.reward, run.domain.name, [str(Path.cwd())])

    def enter(self, run: RunConfig, console: Console, stop: StopRequest) -> None:
        """Start or join Ray, and wait for the resources of the run."""
        enter_cluster(run, console, stop)

    def build(self, run: RunConfig, out: Location) -> SequenceTutor:
        from sequence_tutor.distributed.algorithm_config import SequenceTutorConfig

        algorithm: SequenceTutor = SequenceTutorConfig().tutor(run, out.uri).build_algo()
        algorithm.saves_itself = False  # `optimize` saves, with retries
        return algorithm

    def line_scorers(
        self, run: RunConfig, outputs: Outputs, console: Console, stop: StopRequest
    ) -> RayLineScorers:
        """Wait for the resources of shards and scorers, and start them."""
        from sequence_tutor.distributed.ray_lines import RayLineScorers

        enter_cluster(run, console, stop, scoring_only=True)
        return RayLineScorers(run, outputs)

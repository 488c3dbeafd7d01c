"""The engine of a run: it keeps the parts as Ray actors of a cluster or as objects of this process.

Commands are the same with both engines. Only a run on Ray imports Ray.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console

from sequence_tutor.distributed.bulk.assemble import Outputs
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.stop_signal import StopRequest
from sequence_tutor.policies.files.storage import Location

if TYPE_CHECKING:
    from sequence_tutor.distributed.commands.score_file import LineScorers


class Engine(Protocol):
    """`ray_engine.RayEngine` or `local.LocalEngine`.

    heavy: modules to import in the background; errors: types that its parts raise if a run can't
    go on.
    """

    @property
    def heavy(self) -> tuple[str, ...]: ...

    @property
    def errors(self) -> tuple[type[Exception], ...]: ...

    def prepare(self, run: RunConfig, scoring_only: bool = False) -> RunConfig:
        """The run with settings that this engine supports. Raises ConfigError or ClusterError."""

    def reward(self, run: RunConfig) -> Any:
        """The reward, for checks and the report; a context manager with `close`."""

    def enter(self, run: RunConfig, console: Console, stop: StopRequest) -> None:
        """Wait until the cluster has the resources of the run."""

    def build(self, run: RunConfig, out: Location) -> Any:
        """Start the run's parts: a `training.Training` with `train`, `drain` and `stop`."""

    def line_scorers(
        self, run: RunConfig, outputs: Outputs, console: Console, stop: StopRequest
    ) -> LineScorers:
        """Wait for the resources of the scorers of a file, and start them."""


def engine_of(local: bool) -> Engine:
    """The local engine or the one on Ray."""
    if local:
        from sequence_tutor.distributed.local import LocalEngine

        return LocalEngine()
    from sequence_tutor.distributed.ray_engine import RayEngine

    return RayEngine()

"""Where the parts of a run are: Ray actors of a cluster, or objects of this process.

Commands are the same with both. Ray is imported for its own runs alone.
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

    heavy: modules to import in the background; errors: what its parts raise where a run can't go
    on.
    """

    @property
    def heavy(self) -> tuple[str, ...]: ...

    @property
    def errors(self) -> tuple[type[Exception], ...]: ...

    def prepare(self, run: RunConfig) -> RunConfig:
        """The run as it can be made here. Raises what the caller can mend."""

    def reward(self, run: RunConfig) -> Any:
        """The reward, to check it and for the report; a context manager with `close`."""

    def enter(self, run: RunConfig, console: Console, stop: StopRequest) -> None:
        """Have room for the run's processes."""

    def build(self, run: RunConfig, out: Location) -> Any:
        """The run's parts, started: a `training.Training` with `train`, `drain` and `stop`."""

    def line_scorers(
        self, run: RunConfig, outputs: Outputs, console: Console, stop: StopRequest
    ) -> LineScorers:
        """What scores a file, once there is room for it."""


def engine_of(local: bool) -> Engine:
    """The engine for this process, or that of Ray."""
    if local:
        from sequence_tutor.distributed.local import LocalEngine

        return LocalEngine()
    from sequence_tutor.distributed.ray_engine import RayEngine

    return RayEngine()

"""The engine: the control loop, actors, scorers, replay shards and the learner.

One batch's journey, and where to read it:

    commands/optimize ── a run from config to finished directory
    training ─────────── what a run does; algorithm drives it on Ray, local in this process
      generating/ ────── actors sample the newest policy              Episodes
                         other proposers look at the record
      screening/ ─────── screens choose what is worth a score         Generated
      scoring/ ───────── scorers find keys, claim them, call rewards  Scored
      replay/ ────────── shards remember every key                    TrainingBatch
        record/ ──────── and put it on disk, as Parquet
      learning/ ──────── the learner updates the policy               Weights
      weight_board ───── hands its weights back to the actors
    run_directory/, metrics/, report/ ── what a run leaves; bulk/ ── files of any size, scored

Only this package knows Ray, and in it only what starts, calls or joins processes: ray_engine,
ray_lines, ray_cluster/, algorithm, start_processes, search, synchronous, weight_board, packing
and the shells of the parts above. It knows neither chemistry nor music: a domain comes in through
`sequence_tutor.policies.encodings.base.Encoding` and `sequence_tutor.rewards.base.Domain`.

From Python: `optimize`, `optimize_rounds`, `score`, `load_config`, `parse_config`,
`SequenceTutorConfig`; see docs/python.md.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

if __name__ == "distributed":
    raise ImportError("import sequence_tutor.distributed instead of distributed")

if TYPE_CHECKING:
    from sequence_tutor.distributed.algorithm_config import SequenceTutorConfig
    from sequence_tutor.distributed.commands.python_api import (
        Result,
        Round,
        optimize,
        optimize_rounds,
        score,
    )
    from sequence_tutor.distributed.config import RunConfig
    from sequence_tutor.distributed.config_file import ConfigError, load_config, parse_config
    from sequence_tutor.distributed.stop_signal import RunError

__all__ = [
    "ConfigError",
    "Result",
    "Round",
    "RunConfig",
    "RunError",
    "SequenceTutorConfig",
    "load_config",
    "optimize",
    "optimize_rounds",
    "parse_config",
    "score",
]

# Where each is. They're imported when they are asked for: Ray and PyTorch take seconds.
_PLACES = {
    "ConfigError": "config_file",
    "Result": "commands.python_api",
    "RunConfig": "config",
    "RunError": "stop_signal",
    "SequenceTutorConfig": "algorithm_config",
    "load_config": "config_file",
    "Round": "commands.python_api",
    "optimize": "commands.python_api",
    "optimize_rounds": "commands.python_api",
    "parse_config": "config_file",
    "score": "commands.python_api",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

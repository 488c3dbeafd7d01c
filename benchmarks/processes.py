"""Processor time and memory of a run's processes, by stage."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

import psutil

# by the process title; RLlib's wrapper is the learner
STAGES = {
    "ray::SequenceActor": "actor",
    "ray::ScorerProcess": "scorer",
    "rewards/isolation": "reward",
    "ray::_ShardActor": "shard",
    "ray::WeightBoard": "board",
    "ray::_WrappedExecutable": "learner",
    "sequence-tutor": "driver",
}


def stage_of(process: psutil.Process) -> str:
    command = " ".join(process.cmdline())
    return next((stage for name, stage in STAGES.items() if name in command), "Ray itself")


def cpu_seconds(root: psutil.Process) -> Counter[str]:
    """Processor seconds by stage, of a process and all its descendants."""
    spent: Counter[str] = Counter()
    for process in _family(root):
        try:
            times = process.cpu_times()
            spent[stage_of(process)] += times.user + times.system
        except psutil.Error:  # it ended meanwhile
            continue
    return spent


def own_megabytes(root: psutil.Process) -> dict[str, list[float]]:
    """Each process's own memory (USS) in MB by stage, of a process and all its descendants."""
    found: dict[str, list[float]] = defaultdict(list)
    for process in _family(root):
        try:
            found[stage_of(process)].append(process.memory_full_info().uss / 1e6)
        except psutil.Error:  # it ended meanwhile
            continue
    return found


def _family(root: psutil.Process) -> Iterator[psutil.Process]:
    yield root
    yield from root.children(recursive=True)

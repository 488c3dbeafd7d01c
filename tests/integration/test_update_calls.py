"""Update calls under way, on fake learners that answer when a file appears."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from sequence_tutor.distributed.learning.update_calls import LearnerCalls
from sequence_tutor.distributed.stop_signal import RunError
from sequence_tutor.distributed.types import LearnerReport


@ray.remote(num_cpus=0)
class FakeLearner:
    """Each call waits until a file appears whose name is its first batch."""

    def __init__(self, gates: Path) -> None:
        self.gates, self.updates = gates, 0

    def update(self, training_data: Any, temperature: float) -> LearnerReport:
        batches = ray.get(training_data.batch_refs)
        while not (self.gates / str(batches[0])).exists():
            time.sleep(0.01)
        if batches[0] == 13:
            raise FloatingPointError("the loss became nan")
        if batches[0] == 666:
            os._exit(1)
        self.updates += len(batches)
        rows = sum(batches)
        return LearnerReport(len(batches), self.updates, rows, 0, 1.0, 1.0, 1.0, 0.0, 0, 0, 0)


def calls(gates: Path, learners: int = 1) -> LearnerCalls:
    actors = {i: FakeLearner.remote(gates) for i in range(learners)}
    manager = SimpleNamespace(actors=lambda: actors)
    return LearnerCalls(SimpleNamespace(_worker_manager=manager))


def put(*numbers: int) -> list[ray.ObjectRef]:
    return [ray.put(number) for number in numbers]


@pytest.mark.nightly
def test_starting_does_not_wait_and_reports_are_in_order(local_ray, tmp_path):
    learning = calls(tmp_path)
    learning.start(put(1, 2), 0.5)
    assert not learning.full and learning.updates == 2
    learning.start(put(3), 0.5)
    assert learning.full and learning.updates == 3
    started = time.monotonic()
    assert learning.finished() == [] and time.monotonic() - started < 5
    (tmp_path / "3").touch()  # the second can't overtake the first
    assert learning.finished(0.2) == []
    (tmp_path / "1").touch()
    first, second = learning.finished(None)
    assert (first.updates, first.rows, first.total_updates) == (2, 3, 2)
    assert (second.updates, second.rows, second.total_updates) == (1, 3, 3)
    assert learning.updates == 0 and learning.finished() == [] == learning.finished(None)


@pytest.mark.nightly
def test_the_learners_of_a_call_give_one_report(local_ray, tmp_path):
    learning = calls(tmp_path, learners=2)
    learning.start(put(1, 2, 4, 8), 0.5)
    (tmp_path / "1").touch()
    assert learning.finished(0.5) == []  # the second has batches 4 and 8
    (tmp_path / "4").touch()
    (report,) = learning.finished(None)
    assert (report.updates, report.rows) == (2, 15)


@pytest.mark.nightly
@pytest.mark.parametrize("batch, error", [(13, FloatingPointError), (666, RunError)])
def test_the_error_of_a_learner_propagates(local_ray, tmp_path, batch, error):
    learning = calls(tmp_path)
    (tmp_path / str(batch)).touch()
    learning.start(put(batch), 0.5)
    with pytest.raises(error):
        learning.finished(None)

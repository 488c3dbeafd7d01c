"""Proposers and the screen in an asynchronous run on Ray."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.exceptions import OwnerDiedError
from records import rows_on_record

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.screening.process import present
from sequence_tutor.rewards.base import Status

BUDGET, DEADLINE_S = 300, 240.0
GENETIC = {"genetic": {"batch": 32}}
SCREEN = {"batch": 16, "start": 48, "children": 16}


@pytest.mark.nightly
@pytest.mark.parametrize("screen", [None, SCREEN], ids=["all", "screened"])
def test_the_budget_is_used_up_by_all_proposers(
    make_run: Callable[..., RunConfig], build: Any, tmp_path: Path, screen: dict[str, Any] | None
):
    """Proposers and the screen are killed on the way."""
    tables = {} if screen is None else {"screen": screen}
    run = make_run(
        mode="asynchronous",
        proposers=GENETIC,
        stop={"scores": BUDGET},
        replay={"ratio": 1},
        **tables,
    )
    deadline = time.monotonic() + DEADLINE_S
    with build(run, tmp_path) as algorithm:
        killed = False
        while not algorithm.finished():
            assert time.monotonic() < deadline, algorithm.tally
            algorithm.train()
            if not killed and algorithm.tally.scores_used > BUDGET / 3:
                for process in algorithm.search.processes:
                    ray.kill(process, no_restart=False)
                killed = True
        algorithm.drain()
        sources = algorithm.last_metrics.sources
    rows = rows_on_record(tmp_path / "scores")
    valid = rows.status == Status.OK
    by_source = Counter(s for s, ok in zip(rows.sources, valid, strict=True) if ok)
    assert by_source.total() == BUDGET and len(set(rows.keys)) == len(rows)
    assert by_source["genetic"] and by_source["policy"]
    assert {name: counts.scored for name, counts in sources.items()} == by_source
    assert sum(counts.top100 for counts in sources.values()) == 100
    if screen is None:
        assert not any(counts.screened_out for counts in sources.values())
    else:
        assert sources["genetic"].screened_out > by_source["genetic"]


def test_a_lost_batch_of_candidates_leaves_the_others(local_ray: None):
    @ray.remote(num_cpus=0)
    class Owner:
        def made(self) -> list[Any]:
            return [ray.put("candidates")]

    owner, here = Owner.remote(), ray.put("others")
    lost = ray.get(owner.made.remote())[0]
    assert present([lost, here]) == ["candidates", "others"]
    ray.kill(owner)
    deadline = time.monotonic() + DEADLINE_S
    while len(present([lost, here])) == 2:
        assert time.monotonic() < deadline
    assert present([lost, here]) == ["others"]
    with pytest.raises(OwnerDiedError):
        present([lost])

"""A job over four hosts goes on while one has its cable cut and another loses its power."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from onprem import OnPrem, until
from paid import calls, recorded

FLUSH_S, LEASE_S, BUDGET = 2.0, 5.0, 3000
CONFIG = f"""
prior = "prior"
[[reward.component]]
name = "python"
function = "slow_reward:carbons"
[learner]
threads = 1
batch = 16
updates_per_call = 2
temperature = 5.0
resources = {{ steady = 0.01 }}
[replay]
shards = 2
min_rows = 16
ratio = 0.25
flush_s = {FLUSH_S}
lease_s = {LEASE_S}
resources = {{ steady = 0.01 }}
[actors]
batch = 64
resources = {{ steady = 0.01 }}
[scorers]
count = 5
resources = {{ spot = 0.01 }}
[stop]
scores = {BUDGET}
"""
SLOW_REWARD = (Path(__file__).parent / "hosts" / "slow_reward.py").read_text()


@pytest.mark.nightly
def test_a_job_survives_a_cut_cable_and_a_power_failure(
    make_cluster: Callable[[int], OnPrem], tiny_prior: Path
):
    cluster = make_cluster(3)
    cluster.give({"run.toml": CONFIG, "slow_reward.py": SLOW_REWARD, "prior": tiny_prior})
    cluster.up()
    out = cluster.room.shared / "runs" / "long"
    job = cluster.submit("sequence-tutor optimize run.toml --out /mnt/shared/runs/long")
    everywhere = {worker.name for worker in cluster.workers}
    until(lambda: {call.machine for call in calls(cluster.hosts)} == everywhere, "all score")
    until(lambda: len(calls(cluster.hosts)) > BUDGET // 10, "a tenth of the budget")
    unplugged, dead, left = cluster.workers
    lost_at = time.time()
    unplugged.cut()
    dead.power_off()
    until(lambda: cluster.alive() == {cluster.head.address, left.address}, "the loss is noticed")
    print(f"\nnoticed after {time.time() - lost_at:.0f} s")
    assert cluster.status(job) == "RUNNING"
    until(lambda: sum(c.at > lost_at + 60 for c in calls([left])) > 50, "the last worker scores")
    unplugged.plug()
    back_at = time.time()
    cluster.join([unplugged])
    print(f"back in the cluster after {time.time() - back_at:.0f} s")
    until(
        lambda: any(c.at > back_at + 10 for c in calls([unplugged])) or done(cluster, job),
        "the cut-off host scores again",
    )
    assert cluster.ended(job, 1800) == "SUCCEEDED", cluster.logs(job)[-3000:]

    record, paid = recorded(out), calls(cluster.hosts)
    # rows that a lost scorer stored but didn't report are on record and not in the count
    assert BUDGET <= len(record) <= BUDGET * 1.05
    # lost: scores of the two hosts that no shard had, or only a shard on these hosts
    missing = [call for call in paid if call.key not in record]
    print(f"{len(paid)} calls, {len(record)} on record, {len(missing)} of the calls are not")
    for call in missing:
        assert call.machine in (unplugged.name, dead.name), call
        assert call.at > lost_at - 2 * FLUSH_S, call
    # paid twice: only sequences that those two hosts were scoring or hadn't stored elsewhere
    twice = {key for key, n in Counter(call.key for call in paid).items() if n > 1}
    print(f"{len(twice)} were scored twice")
    for key in twice:
        first, *_ = (call for call in paid if call.key == key)
        assert any(c.machine in (unplugged.name, dead.name) for c in paid if c.key == key), first
        assert max(c.at for c in paid if c.key == key) > lost_at - 2 * FLUSH_S, key
    assert calls([left], since=back_at)  # it scored until the end


def done(cluster: OnPrem, job: str) -> bool:
    return cluster.status(job) not in ("PENDING", "RUNNING")

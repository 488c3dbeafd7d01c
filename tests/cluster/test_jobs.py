"""Jobs as a user submits them: from a laptop, through a tunnel, to a cluster made by `ray up`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from onprem import DASHBOARD, OnPrem, until
from paid import calls, recorded

from sequence_tutor.distributed.run_directory import checkpoint

TEMPLATE = """
prior = "prior"
[[reward.component]]
name = "python"
function = "slow_reward:carbons"
[learner]
threads = 1
batch = 16
updates_per_call = 2
temperature = 0.5
STEADY
[replay]
min_rows = 16
ratio = 1
flush_s = 2
resources = { steady = 0.01 }
[actors]
batch = 32
STEADY
[scorers]
count = COUNT
SPOT
[stop]
scores = 150
"""


def config(count: int, steady: str, spot: str) -> str:
    return TEMPLATE.replace("COUNT", str(count)).replace("STEADY", steady).replace("SPOT", spot)


# The whole cluster: scorers on the workers, all else on the head.
CONFIG = config(4, "resources = { steady = 0.01 }", "resources = { spot = 0.01 }")
# Half of it, anywhere.
HALF = config(1, "", "")
OPTIMIZE = "sequence-tutor optimize run.toml --out /mnt/shared/runs/"
SLOW_REWARD = (Path(__file__).parent / "hosts" / "slow_reward.py").read_text()


pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def cluster(make_cluster: Callable[[int], OnPrem], tiny_prior: Path) -> OnPrem:
    """A head and two workers with Ray up, and a job in the laptop's ~/job."""
    made = make_cluster(2)
    made.give({"run.toml": CONFIG, "half.toml": HALF, "slow_reward.py": SLOW_REWARD})
    made.give({"prior": tiny_prior})
    made.up()
    return made


def runs(cluster: OnPrem) -> Path:
    """/mnt/shared/runs, from outside."""
    return cluster.room.shared / "runs"


def test_a_job_runs_on_three_hosts(cluster: OnPrem):
    job = cluster.submit(OPTIMIZE + "first")
    assert cluster.ended(job) == "SUCCEEDED", cluster.logs(job)
    paid = calls(cluster.hosts)
    # the user's own module was found on every worker, and all of them scored
    assert {call.machine for call in paid} == {worker.name for worker in cluster.workers}
    keys = [call.key for call in paid]
    assert len(keys) == 150
    assert sorted(keys) == sorted(set(keys)) == sorted(recorded(runs(cluster) / "first"))
    log = cluster.logs(job)
    assert " s  scores " in log and "budget used: 150 scores" in log
    assert "\x1b[2K" not in log and "\x1b[?25l" not in log  # no line is drawn over another


def test_hosts_run_the_wheel(cluster: OnPrem):
    code = "import sequence_tutor.distributed.commands.cli as cli; print(cli.__file__)"
    for host in cluster.hosts:
        assert "/site-packages/" in host.ask(f"~/sequence-tutor/bin/python -c '{code}'")


def test_clients_without_the_token_are_rejected(cluster: OnPrem):
    cluster.open_tunnel()
    submit = f"ray job submit --address {DASHBOARD} --no-wait -- true"
    for token in ("RAY_AUTH_TOKEN=wrong", "RAY_AUTH_MODE=disabled"):
        done = cluster.laptop.run(f". ~/sequence-tutor/bin/activate; {token} {submit}")
        assert done.returncode == 1 and "AuthenticationError" in done.stdout, token
    worker = cluster.workers[0]
    cluster.give({"run.toml": '[[reward.component]]\nname = "logp"'}, [worker])
    join = (
        f"cd ~/job; RAY_ADDRESS={cluster.head.address}:6379 RAY_AUTH_MODE=token "
        "~/sequence-tutor/bin/sequence-tutor optimize run.toml --out ~/out --set wait_s=0"
    )
    refused = worker.run(f"export RAY_AUTH_TOKEN=wrong; {join}", 300)
    assert refused.returncode == 2 and "lacks its token" in refused.stdout, refused.stdout
    assert "Traceback" not in refused.stdout
    let_in = worker.run(f"{join} --set scorers.count=99", 300)
    assert let_in.returncode == 2 and "no room for the run" in let_in.stdout, let_in.stdout


def test_a_stopped_job_resumes(cluster: OnPrem):
    out = runs(cluster) / "stopped"
    job = cluster.submit(OPTIMIZE + "stopped --set stop.scores=100000")
    metrics = out / "metrics.jsonl"
    until(lambda: metrics.is_file() and metrics.read_text().count("\n") > 2, "metrics")
    cluster.job("stop", job)
    assert cluster.ended(job) == "STOPPED"
    assert "stopped on request" in cluster.logs(job)  # the run ended in order
    saved = checkpoint.read(checkpoint.complete(out / "checkpoints")[-1])
    before = recorded(out)
    assert len(before) == saved.counters["scores_used"]
    again = cluster.submit(f"{OPTIMIZE}stopped --resume --set stop.scores={len(before) + 50}")
    assert cluster.ended(again) == "SUCCEEDED", cluster.logs(again)
    after = recorded(out)
    assert len(after) == len(before) + 50
    assert {key: after[key] for key in before} == before  # no sequence was scored again


def test_two_jobs_run_on_without_the_laptop(cluster: OnPrem):
    since, optimize = time.time(), OPTIMIZE.replace("run.toml", "half.toml")
    jobs = [cluster.submit(optimize + name) for name in ("left", "right")]
    cluster.close_laptop()
    until(lambda: {cluster.status(job) for job in jobs} == {"RUNNING"}, "both run")
    for job in jobs:
        assert cluster.ended(job) == "SUCCEEDED", job
    cluster.laptop.plug()
    for name in ("left", "right"):
        assert len(recorded(runs(cluster) / name)) == 150
    assert len(calls(cluster.hosts, since)) == 300
    assert "budget used: 150 scores" in cluster.logs(jobs[0])


PROBE = """
import ray

def where():
    import sequence_tutor.distributed.commands.cli as cli
    return cli.__file__

print("FOUND", where())
ray.init(log_to_driver=False)
for node in ray.nodes():
    here = {f"node:{node['NodeManagerAddress']}": 0.001}
    print("FOUND", ray.get(ray.remote(where).options(num_cpus=0, resources=here).remote()))
"""
# The runtime environment and the command of docs/jobs.md.
SHIPPED = {
    "pip": (
        """
pip:
  packages: ["${RAY_RUNTIME_ENV_CREATE_WORKING_DIR}/WHEEL"]
  pip_install_options: ["--no-deps", "--no-index"]
""",
        "sequence-tutor",
    ),
    "py_modules": (
        "py_modules: [shipped/sequence_tutor]\n",
        "python -m sequence_tutor.distributed.commands.cli",
    ),
}


@pytest.mark.parametrize("way", SHIPPED)
def test_the_package_comes_with_the_job(cluster: OnPrem, wheel: Path, way: str):
    environment, command = SHIPPED[way]
    cluster.give({"probe.py": PROBE, "environment.yaml": environment.replace("WHEEL", wheel.name)})
    cluster.on_laptop(
        f"cp dist/{wheel.name} ~/job && python -m zipfile -e dist/{wheel.name} ~/job/shipped"
    )
    job = cluster.submit(
        f"sh -c '{command} --help > /dev/null && python probe.py'", "--runtime-env environment.yaml"
    )
    assert cluster.ended(job) == "SUCCEEDED", cluster.logs(job)
    found = [line for line in cluster.logs(job).splitlines() if line.startswith("FOUND ")]
    assert len(found) == 1 + len(cluster.hosts)  # by the driver, and by a task on each host
    assert all(f"/runtime_resources/{way}" in line for line in found)


def test_bad_input_fails_the_job_with_one_sentence(cluster: OnPrem):
    job = cluster.submit(OPTIMIZE + "none --set stop.score=1")
    assert cluster.ended(job) == "FAILED"
    text = cluster.job("status", job).stdout
    assert "failed with exit code 2" in text and "did you mean scores?" in text

"""One run from config to finished run directory.

RUN/  config.toml  metrics.jsonl  tensorboard/  scores/  checkpoints/  policy/
      top.csv  best/  samples/
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from ray.exceptions import RayError
from rich.console import Console

from sequence_tutor.distributed import checkpoint
from sequence_tutor.distributed.algorithm import SequenceTutor, starting_prior
from sequence_tutor.distributed.algorithm_config import SequenceTutorConfig
from sequence_tutor.distributed.config import ConfigError, RunConfig, load_config, to_toml
from sequence_tutor.distributed.files import write_text
from sequence_tutor.distributed.metrics import MetricsWriter
from sequence_tutor.distributed.progress import Progress
from sequence_tutor.distributed.resources import enter_cluster
from sequence_tutor.distributed.resume import check_directory
from sequence_tutor.distributed.stopping import RunError, StopRequest
from sequence_tutor.distributed.summary import TOP_ROWS, RunSummary, summarize, write_top
from sequence_tutor.distributed.warm_start import read_scored, to_scored
from sequence_tutor.policies.prior import Prior
from sequence_tutor.rewards.base import Reward
from sequence_tutor.rewards.domains import domain_of
from sequence_tutor.rewards.isolation.reward import IsolatedReward

# Seconds that a run waits at its end for scores under way, beyond what a reward's deadlines allow.
DRAIN_S = 60.0


def starting_prior_of(out: Path) -> Prior:
    """The prior that a finished run started from. Raises ConfigError or ValueError."""
    return starting_prior(load_config(out / "config.toml"))


def reward_of(out: Path) -> Reward:
    """The reward of a finished run. Raises ConfigError or ValueError."""
    return isolated_reward(load_config(out / "config.toml"))


def isolated_reward(run: RunConfig) -> IsolatedReward:
    """A run's reward in processes of its own: what it does to them is nothing to us."""
    return IsolatedReward(run.reward, domain_of(run.encoding).name, [str(Path.cwd())])


def optimize(
    run: RunConfig,
    out: Path,
    console: Console,
    resume: bool = False,
    warm_start: Path | None = None,
) -> RunSummary:
    """Run to the end of its budget or until asked to stop, and leave a complete run directory.

    Raises RunError, once the record is safe, where a part that can't be replaced dies.
    """
    # Whatever is wrong with the files should be said before a cluster is started.
    prior, domain = starting_prior(run), domain_of(run.encoding)
    check_directory(run, out, resume)
    known = None
    if warm_start is not None:
        sequences, rewards, remarks = read_scored(warm_start, None)
        known, more = to_scored(sequences, rewards, prior.encoding, domain, time.time())
        for remark in [*remarks, *more]:
            console.print(remark, markup=False, highlight=False, soft_wrap=True)
        if not len(known):
            raise ConfigError(f"nothing in {warm_start} can be learned from with {run.prior!r}")
    with isolated_reward(run) as reward, StopRequest() as stop:
        enter_cluster(run, console, stop)
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / "config.toml", to_toml(run))
        algorithm = SequenceTutorConfig().tutor(run, out.resolve()).build_algo()
        try:
            if resume:
                _take_up(algorithm, out)
            if known is not None:
                added = algorithm.replay.add(known).added
                console.print(
                    f"warm start: {added} of {len(known)} sequences are new to the replay"
                )
            algorithm.save_run_checkpoint()
            _train(algorithm, run, out, console, stop)
            metrics = algorithm.last_metrics
            policy = algorithm.policy()
            policy.save(out / "policy")
            top = algorithm.replay.top(TOP_ROWS)
            write_top(top, out / "top.csv")
        except (RayError, RuntimeError) as error:
            with suppress(Exception):  # what can't be saved any more mustn't hide the cause
                algorithm.replay.flush()
            raise RunError(
                f"{_first_line(error)}; what was scored is on record: go on with --resume --out "
                f"{out}"
            ) from error
        finally:
            algorithm.stop()
        reason = "stopped on request" if stop.wanted else "budget used"
        return summarize(run, out, reason, metrics, top, prior, policy, domain, reward)


def _take_up(algorithm: SequenceTutor, out: Path) -> None:
    if saved := checkpoint.complete(out / "checkpoints"):
        algorithm.load_checkpoint(str(saved[-1]))
    else:
        algorithm.start_anew()


def _train(
    algorithm: SequenceTutor, run: RunConfig, out: Path, console: Console, stop: StopRequest
) -> None:
    """The loop, with metrics and checkpoints on the way and at the end."""
    tally = algorithm.tally
    writer = MetricsWriter(out, tally.iteration, tally.updates)
    saved_updates, saved_at = tally.updates, time.monotonic()
    try:
        with Progress(run, console) as progress:
            while not (stop.wanted or algorithm.out_of_budget()):
                algorithm.train()
                metrics = algorithm.last_metrics
                writer.write(metrics)
                progress.show(metrics)
                due = time.monotonic() - saved_at >= run.checkpoint.seconds
                if due or metrics.updates - saved_updates >= run.checkpoint.updates:
                    algorithm.save_run_checkpoint()
                    saved_updates, saved_at = metrics.updates, time.monotonic()
        algorithm.drain(DRAIN_S + run.reward.timeout_s * (1 + run.reward.retries))
        writer.write(algorithm.last_metrics)
        algorithm.save_run_checkpoint()
    finally:
        writer.close()


def _first_line(error: Exception) -> str:
    """The cause of an error, not the tracebacks that Ray puts into its text."""
    cause = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return f"{type(cause).__name__}: {lines[0] if lines else ''}"

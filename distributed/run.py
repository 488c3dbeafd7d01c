"""One run from config to finished run directory.

RUN/  config.toml  metrics.jsonl  tensorboard/  scores/  checkpoints/  policy/  top.csv
"""

from __future__ import annotations

import csv
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.table import Table

from sequence_tutor.distributed import checkpoint
from sequence_tutor.distributed.algorithm import SequenceTutor, check_encoding
from sequence_tutor.distributed.algorithm_config import SequenceTutorConfig
from sequence_tutor.distributed.config import ConfigError, RunConfig, load_config, to_toml
from sequence_tutor.distributed.evaluation import describe
from sequence_tutor.distributed.metrics import Metrics, MetricsWriter
from sequence_tutor.distributed.progress import Progress
from sequence_tutor.distributed.resources import check_resources, start_ray
from sequence_tutor.policies.prior import load_prior
from sequence_tutor.rewards.base import Status
from sequence_tutor.rewards.domains import domain_of
from sequence_tutor.rewards.objective import build_reward

TOP_ROWS = 100
# Keys whose change doesn't make a resumed run another run.
MAY_CHANGE = ("stop", "actors", "scorers", "checkpoint")


@dataclass(frozen=True)
class RunSummary:
    """How a run ended: why, its last metrics, and samples of prior and policy described."""

    reason: str
    metrics: Metrics
    prior: dict[str, float]
    policy: dict[str, float]


class StopRequest:
    """Turns the first Ctrl-C or SIGTERM into a wish to stop; the second one interrupts."""

    def __init__(self) -> None:
        self.wanted = False
        self._previous: dict[int, Callable[..., object] | int | None] = {}

    def __enter__(self) -> StopRequest:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True


def check_directory(run: RunConfig, out: Path, resume: bool) -> None:
    """Whether a run may go into `out`; writes nothing. Raises ConfigError."""
    if not resume:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ConfigError(f"{out} exists already; choose another --out, or --resume it")
        return
    if not (out / "config.toml").is_file():
        raise ConfigError(f"{out} holds no run to resume")
    if not checkpoint.complete(out / "checkpoints"):
        raise ConfigError(f"{out} has no complete checkpoint to resume from")
    before = load_config(out / "config.toml").model_dump(mode="json")
    now = run.model_dump(mode="json")
    changed = [k for k in now if k not in MAY_CHANGE and now[k] != before.get(k)]
    if changed:
        raise ConfigError(
            f"{out} was run with another {', '.join(changed)}; only "
            f"{', '.join(MAY_CHANGE)} may change on resume"
        )


def optimize(run: RunConfig, out: Path, console: Console, resume: bool = False) -> RunSummary:
    """Run to the end of its budget or until asked to stop, and leave a complete run directory."""
    # Whatever is wrong with the files should be said before a cluster is started.
    prior = load_prior(run.prior)
    check_encoding(prior, run)
    reward = build_reward(run.reward, domain_of(run.encoding).name)
    check_directory(run, out, resume)
    start_ray(run)
    check_resources(run)
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.toml").write_text(to_toml(run), encoding="utf-8")
    with StopRequest() as stop, Progress(run, console) as progress:
        algorithm = SequenceTutorConfig().tutor(run, out.resolve()).build_algo()
        writer = MetricsWriter(out)
        try:
            if resume:
                algorithm.load_checkpoint(str(checkpoint.complete(out / "checkpoints")[-1]))
            saved = algorithm.tally.updates
            while not (stop.wanted or algorithm.out_of_budget()):
                algorithm.train()
                metrics = algorithm.last_metrics
                writer.write(metrics)
                progress.show(metrics)
                if metrics.updates - saved >= run.checkpoint.updates:
                    saved = metrics.updates
                    algorithm.save_run_checkpoint()
            algorithm.drain()
            metrics = algorithm.last_metrics
            writer.write(metrics)
            algorithm.save_run_checkpoint()
            policy = algorithm.policy()
            policy.save(out / "policy")
            _write_top(algorithm, out / "top.csv")
        finally:
            writer.close()
            algorithm.stop()
    domain = domain_of(run.encoding)
    reason = "stopped on request" if stop.wanted else "budget used"
    return RunSummary(
        reason,
        metrics,
        describe(prior, domain, reward, seed=run.seed),
        describe(policy, domain, reward, seed=run.seed),
    )


def print_summary(summary: RunSummary, out: Path, console: Console) -> None:
    """Prior and tuned policy side by side, and where everything is."""
    m = summary.metrics
    table = Table(title="1,000 samples each")
    for name in ("", "prior", "tuned policy"):
        table.add_column(name, justify="left" if not name else "right")
    for key, value in summary.policy.items():
        table.add_row(key.replace("_", " "), f"{summary.prior[key]:.3f}", f"{value:.3f}")
    console.print(table)
    console.print(
        f"{summary.reason}: {m.scores_used} scores, {m.updates} updates, {m.elapsed_s:.0f} s; "
        f"best ten {m.reward_top10:.3f} on average; KL to the prior {m.kl_to_prior:.1f} nats"
    )
    console.print(f"the best sequences are in {out / 'top.csv'}, the policy in {out / 'policy'}")


def _write_top(algorithm: SequenceTutor, path: Path) -> None:
    """The best distinct sequences, their reward and raw components."""
    top = algorithm.replay.top(TOP_ROWS)
    with path.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        names = list(top.raw) if top is not None else []
        rows.writerow(["key", "sequence", "reward", *names, "version", "source"])
        if top is None:
            return
        for i in range(len(top)):
            assert top.status[i] == Status.OK
            values = [f"{top.raw[name][i]:.6g}" for name in names]
            rows.writerow(
                [
                    top.keys[i],
                    top.sequences[i],
                    f"{top.rewards[i]:.6g}",
                    *values,
                    int(top.versions[i]),
                    top.sources[i],
                ]
            )

"""One run from config to finished run directory.

RUN/  config.toml  metrics.jsonl  tensorboard/  scores/  checkpoints/  policy/
      top.csv  best/  samples/
"""

from __future__ import annotations

import csv
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.console import Console

from sequence_tutor.distributed import checkpoint
from sequence_tutor.distributed.algorithm import starting_prior
from sequence_tutor.distributed.algorithm_config import SequenceTutorConfig
from sequence_tutor.distributed.config import ConfigError, RunConfig, load_config, to_toml
from sequence_tutor.distributed.evaluation import Columns, compare, print_table
from sequence_tutor.distributed.metrics import Metrics, MetricsWriter
from sequence_tutor.distributed.progress import Progress
from sequence_tutor.distributed.resources import check_resources, start_ray
from sequence_tutor.distributed.types import Scored
from sequence_tutor.policies.prior import Prior
from sequence_tutor.rewards.base import Reward, Status
from sequence_tutor.rewards.build import build_reward
from sequence_tutor.rewards.domains import domain_of

TOP_ROWS = 100
RENDERED = 10
SUMMARY_SAMPLES = 1000
# Longer than this, nobody waits for a reward to judge the samples of four columns.
SUMMARY_SECONDS = 60.0
# Keys whose change doesn't make a resumed run another run.
MAY_CHANGE = ("stop", "actors", "scorers", "checkpoint")


@dataclass(frozen=True)
class RunSummary:
    """How a run ended: why, its last metrics, data, noise, prior and policy compared, and where
    sequences are shown."""

    reason: str
    metrics: Metrics
    columns: Columns
    shown: list[str]


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


def starting_prior_of(out: Path) -> Prior:
    """The prior that a finished run started from. Raises ConfigError or ValueError."""
    return starting_prior(load_config(out / "config.toml"))


def reward_of(out: Path) -> Reward:
    """The reward of a finished run. Raises ConfigError or ValueError."""
    run = load_config(out / "config.toml")
    return build_reward(run.reward, domain_of(run.encoding).name)


def optimize(run: RunConfig, out: Path, console: Console, resume: bool = False) -> RunSummary:
    """Run to the end of its budget or until asked to stop, and leave a complete run directory."""
    # Whatever is wrong with the files should be said before a cluster is started.
    prior, domain = starting_prior(run), domain_of(run.encoding)
    reward = build_reward(run.reward, domain.name)
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
            top = algorithm.replay.top(TOP_ROWS)
            _write_top(top, out / "top.csv")
        finally:
            writer.close()
            algorithm.stop()
    best = top.sequences[:RENDERED] if top is not None else []
    shown = [
        "at random: " + domain.render(policy.sample(RENDERED, run.seed), out / "samples"),
        "the best: " + domain.render(best, out / "best"),
    ]
    reason = "stopped on request" if stop.wanted else "budget used"
    if (cost_s := summary_cost(top)) > SUMMARY_SECONDS:
        shown.append(f"the samples were not scored, which would have taken {cost_s:.0f} s")
    affordable = reward if cost_s <= SUMMARY_SECONDS else None
    columns = compare(domain, prior, policy, affordable, n=SUMMARY_SAMPLES, seed=run.seed)
    return RunSummary(reason, metrics, columns, shown)


def summary_cost(top: Scored | None) -> float:
    """Seconds that scoring the summary's samples would take, going by what these rows took."""
    each = float(top.seconds.mean()) if top is not None and len(top) else 0.0
    return 4 * SUMMARY_SAMPLES * each


def print_summary(summary: RunSummary, out: Path, console: Console) -> None:
    """Prior and tuned policy side by side, and where everything is."""
    m = summary.metrics
    print_table(summary.columns, console, f"up to {SUMMARY_SAMPLES:,} sequences each")
    console.print(
        f"{summary.reason}: {m.scores_used} scores, {m.updates} updates, {m.elapsed_s:.0f} s; "
        f"best ten {m.reward_top10:.3f} on average; KL to the prior {m.kl_to_prior:.1f} nats"
    )
    console.print(f"the best sequences are in {out / 'top.csv'}, the policy in {out / 'policy'}")
    for remark in summary.shown:
        console.print(remark, soft_wrap=True, highlight=False)


def _write_top(top: Scored | None, path: Path) -> None:
    """The best distinct sequences, their reward and raw components."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        names = list(top.raw) if top is not None else []
        columns = [f"raw.{name}" for name in names]
        rows.writerow(["key", "sequence", "reward", *columns, "version", "source"])
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

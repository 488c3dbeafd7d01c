"""`optimize --dry-run`: what a run would be, on what, and what it would cost; nothing is started.

All checks of a real start are made, the reward is compiled, and nothing is written.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rich.console import Console

from sequence_tutor.distributed.bulk.estimate import duration
from sequence_tutor.distributed.commands.beginning import beginning
from sequence_tutor.distributed.commands.checks import check_config, check_start
from sequence_tutor.distributed.commands.engine import engine_of
from sequence_tutor.distributed.commands.plain_print import print_plainly
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.run_directory import checkpoint
from sequence_tutor.distributed.run_directory.resume import check_directory
from sequence_tutor.distributed.run_directory.starting_prior import starting_prior
from sequence_tutor.distributed.run_directory.warm_start import WarmStart
from sequence_tutor.distributed.stages import STAGE, stage_runs
from sequence_tutor.distributed.stop_signal import ResourceError
from sequence_tutor.policies.files.storage import Location, Where
from sequence_tutor.rewards.compile import components_in_order
from sequence_tutor.rewards.costs import costs

if TYPE_CHECKING:
    from sequence_tutor.distributed.commands.optimize import Options
    from sequence_tutor.policies.prior import Prior

# Bytes that the replay holds for a row, without its tokens and components (see `replay/shard.py`).
ROW_BYTES, COMPONENT_BYTES = 380, 24


def dry_run(run: RunConfig, where: Where, console: Console, options: Options) -> None:
    """Print what `optimize` would do with these arguments. Raises as it does before it starts
    anything."""
    engine, out = engine_of(options.local), Location(where)
    runs = [engine.prepare(one).with_pins() for one in (stage_runs(run) if run.stage else [run])]
    if run.stage:
        for one in [run, *runs]:
            check_config(one)
        check_directory(run, out, options.resume)
    else:
        has_rows = bool(options.warm_start or options.fork)
        check_start(runs[0], out, options.resume, has_rows)
    with engine.reward(run):  # which compiles it
        prior = starting_prior(run)
    origin = beginning(runs[0], out, prior, options).origin
    here = _there(runs, options.local)
    print_plainly(console, f"nothing is started or written; into {out} this run would go:")
    for number, one in enumerate(runs, start=1):
        if run.stage:
            print_plainly(console, f"stage {number} of {len(runs)}, into {STAGE.format(number)}/:")
        if number == 1 and origin is not None:
            taken = f"{Location(origin.checkpoint)}, after {origin.updates:,} updates"
            print_plainly(console, f"  {'from':<11} {taken}")
        for name, text in _lines(one, prior, options, here):
            print_plainly(console, f"  {name:<11} {text}")
    if options.resume:
        _print_resume(out, console)
    if options.report_samples:
        n = 2 * options.report_samples
        print_plainly(console, f"  report      at most {n:,} more scores, beyond the budget")


def _lines(
    run: RunConfig, prior: Prior, options: Options, there: Mapping[str, float]
) -> Iterator[tuple[str, str]]:
    learner, stop = run.learner, run.stop
    size = sum(p.numel() for p in prior.network.parameters())
    yield "prior", f"{run.prior}, which writes {run.encoding}; {size:,} parameters"
    if options.warm_start is not None:
        yield "warm start", str(WarmStart.of(options.warm_start).where)
    c = learner.temperature if learner.kl is None else f"for a KL of {learner.kl:g} nats"
    yield "learning", f"algorithm {learner.algorithm}, temperature {c}, {run.mode}"
    each = _costs(run)
    yield "reward", f"{run.reward.aggregate} of {', '.join(_said(run, each))}"
    others = "".join(f", {name}" for name in run.proposers.all)
    yield "proposers", ("the policy" if run.actors.count else "no policy") + others
    if run.screen is not None:
        yield "screen", f"chooses {run.screen.batch} at a time"
    limits = {k: v for k, v in stop.model_dump().items() if v is not None}
    yield "ends at", ", ".join(f"stop.{name} = {value:,}" for name, value in limits.items())
    yield "updates", _updates(run)
    yield "processes", _processes(run, options.local, there)
    if stop.scores is not None and run.generates:
        scorers = 1 if options.local else min(run.scorers.count, max(1, int(there["CPU"])))
        yield "scoring", _scoring(run, each, scorers)
        yield "memory", _memory(run, prior, options.local)


def _costs(run: RunConfig) -> dict[str, float]:
    """Measured seconds for a sequence by component, in the order of the calls; NaN where it isn't
    known."""
    known = costs(run.domain.name)
    ordered = components_in_order(run.reward, run.domain.name)
    return {key: known.get(one.name, math.nan) / 1e6 for key, one in ordered}


def _said(run: RunConfig, each: Mapping[str, float]) -> Iterator[str]:
    configs = dict(components_in_order(run.reward, run.domain.name))
    for key, seconds in each.items():
        role = configs[key].role
        kind = "" if role == "score" else f"{role}, "
        own = configs[key].name in ("python", "process", "rest")
        if math.isnan(seconds):
            time = "unknown: your own function" if own else "unknown"
        else:
            time = _time(seconds)
        yield f"{key} ({kind}{time})"


def _time(seconds: float) -> str:
    """For a score, such as "0.2 ms" or "8 s"."""
    return f"{seconds:.2g} s" if seconds >= 1 else f"{seconds * 1e3:.2g} ms"


def _updates(run: RunConfig) -> str:
    learner, replay, stop = run.learner, run.replay, run.stop
    rows = learner.batch * learner.count
    if not replay.ratio:
        return "none: replay.ratio = 0"
    if not run.generates or stop.scores is None:
        return f"of {rows} sequences each, as many as fit"
    made = max(0.0, replay.ratio * (stop.scores - replay.min_rows) / rows)
    if stop.updates is not None:
        made = min(made, stop.updates)
    return (
        f"about {made:,.0f} of {rows} sequences each, more where sequences are invalid; how long "
        "one takes depends on the machine"
    )


def _processes(run: RunConfig, local: bool, there: Mapping[str, float]) -> str:
    if local:
        return f"one, without Ray; this machine has {there['CPU']:g} CPUs"
    from sequence_tutor.distributed.ray_cluster.join import needed

    counts = {
        "actor": _range(run.actors.least, run.actors.count),
        "scorer": _range(run.scorers.least, run.scorers.count) if run.generates else "0",
        "learner": str(run.learner.count),
        "replay shard": str(run.replay.shards),
        "proposer": str(sum(one.processes for one in run.proposers.all.values())),
        "screen": "0" if run.screen is None else str(run.screen.processes),
    }
    said = ", ".join(_counted(n, name) for name, n in counts.items() if n != "0")
    asked = {kind: amount for kind, amount in needed(run).items() if amount}
    wants = ", ".join(f"{amount:g} {kind}" for kind, amount in asked.items())
    has = ", ".join(f"{there.get(kind, 0):g} {kind}" for kind in dict.fromkeys([*asked, "GPU"]))
    text = f"{said}; they ask for {wants}; {_place()} has {has}"
    if not _on_cluster() and asked["CPU"] > there["CPU"]:
        text += ", so they take turns"
    return text


def _range(least: int, most: int) -> str:
    return str(most) if least == most else f"{least} to {most}"


def _scoring(run: RunConfig, each: Mapping[str, float], scorers: int) -> str:
    scores, seconds = run.stop.scores or 0, sum(each.values())
    if math.isnan(seconds):
        known = sum(s for s in each.values() if not math.isnan(s))
        lacking = [key for key, s in each.items() if math.isnan(s)]
        return (
            f"{scores:,} scores; {duration(scores * known)} of one core, and what "
            f"{', '.join(lacking)} takes: `score` on some sequences tells it"
        )
    total = scores * seconds
    upper = " at most, as filters save calls" if _filters(run) else ""
    return (
        f"about {duration(total)} of one core{upper} ({_time(seconds)} each, as measured); "
        f"on {_counted(scorers, 'scorer')} {duration(total / scorers)}"
    )


def _counted(n: int | str, name: str) -> str:
    return f"{n} {name}{'' if str(n) == '1' else 's'}"


def _filters(run: RunConfig) -> bool:
    return any(one.role != "score" for one in run.reward.component)


def _memory(run: RunConfig, prior: Prior, local: bool) -> str:
    rows = min(run.stop.scores or 0, run.replay.memory_rows * run.replay.shards)
    tokens = 2 * prior.encoding.max_length
    row = ROW_BYTES + tokens + COMPONENT_BYTES * len(run.reward.component)
    replay = f"about {max(1, round(rows * row / 1e6)):,} MB for the replay"
    if local:
        return replay
    return f"{replay}; each scorer may take {run.reward.memory_mb:,} MB (reward.memory_mb)"


# -- what is there --------------------------------------------------------------------------------


def _on_cluster() -> bool:
    from sequence_tutor.distributed.ray_cluster.address import cluster_address

    return cluster_address() is not None


def _place() -> str:
    if _on_cluster():
        return f"the cluster at RAY_ADDRESS={os.environ['RAY_ADDRESS']}"
    return "this machine"


def _there(runs: list[RunConfig], local: bool) -> dict[str, float]:
    """The resources of the cluster that RAY_ADDRESS names, or of this machine, where Ray isn't
    started. Raises ResourceError where a run needs what isn't there: no run starts then."""
    import torch

    machine = {"CPU": float(os.cpu_count() or 1), "GPU": float(torch.cuda.device_count())}
    if local:
        return machine
    import ray

    from sequence_tutor.distributed.ray_cluster.join import check_resources, needed, start_ray

    if _on_cluster():
        joined = not ray.is_initialized()
        start_ray(runs[0])
        try:
            for run in runs:
                check_resources(run)
            return dict(ray.cluster_resources())
        finally:
            if joined:
                ray.shutdown()
    for run in runs:
        for kind, amount in needed(run).items():
            # Ray on this machine alone has the CPUs that a run asks for
            if kind != "CPU" and amount > machine.get(kind, 0) + 1e-9:
                raise ResourceError(
                    f"the run needs {amount:g} {kind}s and this machine has "
                    f"{machine.get(kind, 0):g}; RAY_ADDRESS would name a cluster"
                )
    return machine


def _print_resume(out: Location, console: Console) -> None:
    saved = checkpoint.complete(out / "checkpoints")
    if saved:
        updates = int(saved[-1].name.partition("-")[0])
        print_plainly(console, f"  goes on     from {saved[-1]}, after {updates:,} updates")
    elif not (out / STAGE.format(1)).exists():
        print_plainly(console, "  goes on     from its record: it has no checkpoint yet")

"""The replay alone: memory per row, sampling by many shards, speed as it grows, and its reload.

    OMP_NUM_THREADS=1 python benchmarks/replay.py
    OMP_NUM_THREADS=1 python benchmarks/replay.py --tables growth --rows 10000000

Shards without Ray in one process, with the work of a shard's process; each table in its own
process, so that resident memory is the shards'. Rows are made up: keys and sequences of 45
characters, 48 actions, three components.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from scipy.stats import chi2_contingency

from sequence_tutor.distributed.config import ReplayConfig
from sequence_tutor.distributed.replay.client import split
from sequence_tutor.distributed.replay.sampler import (
    FreshMix,
    RankSampler,
    RowSampler,
    UniformSampler,
)
from sequence_tutor.distributed.replay.shard import ReplayShard, ShardSettings
from sequence_tutor.distributed.types import Scored
from sequence_tutor.rewards.base import Status

T = TypeVar("T")

BATCH = 4096
SAMPLER = FreshMix(RankSampler())


def texts(rows: int, random: np.random.Generator, length: int = 45) -> list[str]:
    letters = random.integers(ord("A"), ord("z"), (rows, length), dtype=np.uint8)
    return [str(line, "ascii") for line in letters.view(f"S{length}")[:, 0].tolist()]


def made_up(rows: int, random: np.random.Generator) -> Scored:
    """Rows like those of molecules; one of ten has no reward."""
    lengths = random.integers(30, 49, rows).astype(np.int32)
    tokens = random.integers(1, 40, (rows, 48)).astype(np.int16)
    tokens[np.arange(48) >= lengths[:, None]] = 0
    failed = random.random(rows) < 0.1
    return Scored(
        tokens=tokens,
        lengths=lengths,
        log_probs=random.random(rows, dtype=np.float32),
        rewards=np.where(failed, np.nan, random.normal(size=rows)),
        step_rewards=None,
        status=np.where(failed, Status.TIMEOUT, Status.OK).astype(np.int8),
        versions=np.full(rows, 7, np.int32),
        scored_at=np.full(rows, 1.7e9),
        seconds=random.random(rows, dtype=np.float32),
        sequences=texts(rows, random),
        keys=texts(rows, random),
        errors=["took longer than 5 s" if f else "" for f in failed.tolist()],
        sources=["policy"] * rows,
        actors=["actor-1"] * rows,
        raw={name: random.random(rows) for name in "abc"},
        transformed={name: random.random(rows) for name in "abc"},
    )


def new_shards(count: int, directory: Path, sampler: RowSampler = SAMPLER) -> list[ReplayShard]:
    settings = ShardSettings(
        sampler,
        rewrite=None,
        rewrite_share=0.0,
        reward_id="",
        memory_rows=ReplayConfig().memory_rows,
        lease_s=ReplayConfig().lease_s,
        flush_seconds=ReplayConfig().flush_s,
    )
    return [ReplayShard(directory, settings, i, count) for i in range(count)]


def fill(shards: list[ReplayShard], rows: int, seed: int) -> Iterator[int]:
    """Add rows; yields their number after each batch."""
    random = np.random.default_rng(seed)
    for done in range(0, rows, BATCH):
        batch = made_up(min(BATCH, rows - done), random)
        for shard, part in split(batch, len(shards)).items():
            shards[shard].add(part)
        yield done + len(batch)


def resident() -> int:
    """Bytes of this process in memory."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def show(title: str, columns: str, rows: list[list[object]]) -> None:
    names = columns.split(", ")
    print(f"\n{title}\n")
    for row in (names, ["---"] * len(names), *rows):
        print("| " + " | ".join(str(cell) for cell in row) + " |", flush=True)


def memory(rows: int) -> None:
    def measured(shards: int) -> list[object]:
        with tempfile.TemporaryDirectory() as directory:
            before = resident()
            held = new_shards(shards, Path(directory))
            for _ in fill(held, rows, 0):
                pass
            for shard in held:
                shard.flush()
            stats = [shard.stats() for shard in held]
            total = sum(s.held_bytes for s in stats)
            outcomes = sum(shard._memory.outcomes.nbytes for shard in held)
            whole = sum(s.kept_rows for s in stats)
            return [
                shards,
                whole,
                f"{total / 1e6:.0f}",
                f"{total / rows:.0f}",
                f"{outcomes / rows:.0f}",
                f"{(total - outcomes) / whole:.0f}",
                f"{(resident() - before) / rows:.0f}",
            ]

    show(
        f"Memory of {rows:,} rows",
        "shards, held whole, MB, bytes per row, of it outcome, more per whole row, resident bytes",
        [in_own_process(partial(measured, shards)) for shards in (1, 2, 4, 8)],
    )


class Undivided:
    """The control: each shard samples as if it were the only one."""

    def __init__(self, sampler: RowSampler) -> None:
        self.choose = sampler.choose

    def per_shard(self, shards: int) -> RowSampler:
        return self


def sampling(rows: int, hashings: int = 8, batches: int = 64) -> None:
    rows, top = min(rows, 20_000), 1024  # all rows are kept whole
    scored = made_up(rows, np.random.default_rng(0))
    rewards = np.random.default_rng(1).permutation(rows).astype(float)

    def ranks(shards: int, sampler: RowSampler, seed: int) -> np.ndarray:
        """Ranks of what is drawn from shards in proportion to their rows. Keys are made anew a few
        times: which rows come to lie together is luck, which isn't what is measured."""
        drawn = []
        for random in np.random.default_rng(seed).spawn(hashings):
            named = replace(
                scored, rewards=rewards, status=np.zeros(rows, np.int8), keys=texts(rows, random)
            )
            with tempfile.TemporaryDirectory() as directory:
                held = new_shards(shards, Path(directory), sampler)
                for shard, part in split(named, shards).items():
                    held[shard].add(part)
                for shard in held:
                    for _ in range(round(batches * shard.stats().trainable_rows / rows)):
                        batch = shard.sample(64, int(random.integers(2**62)))
                        drawn.append(rows - 1 - batch.rewards.sum(1))
        return np.concatenate(drawn)

    of_all = np.linspace(0, rows, 11)
    # the edge of the top counts as one: each shard has its own
    of_top = np.array([*np.arange(0, 0.75, 0.1) * top, 1.3 * top, rows])

    def compared(a: np.ndarray, b: np.ndarray) -> list[object]:
        cells: list[object] = []
        for edges in (of_all, of_top):
            counts = np.stack([np.histogram(x, edges)[0] for x in (a, b)])
            p = chi2_contingency(counts[:, counts.any(0)]).pvalue
            share = counts / counts.sum(1, keepdims=True)
            cells += [f"{p:.2g}", f"{100 * np.abs(share[0] - share[1]).max():.1f} %"]
        return cells

    table: list[list[object]] = []
    for name, sampler in {
        "uniform": UniformSampler(),
        "rank": RankSampler(top),
        "rank and a quarter fresh": FreshMix(RankSampler(top), 0.25, 1024),
    }.items():
        whole = ranks(1, sampler, 0)
        for shards in (1, 2, 4, 8):
            table.append([name, shards, *compared(whole, ranks(shards, sampler, 10**6))])
        table.append(
            [f"{name}, undivided", 8, *compared(whole, ranks(8, Undivided(sampler), 10**6))]
        )
    show(
        f"{hashings * batches} batches of 64 of {rows:,} rows against those of one shard: "
        "chi-square p-value and largest difference of a share",
        "sampling, shards, tenths of all rows, difference, tenths of the best 1024, difference",
        table,
    )


def timed(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - begun)


def latencies(shard: ReplayShard, shards: int, repeats: int) -> dict[str, list[float]]:
    """Milliseconds of calls with 64 rows, in the order in which a run makes them."""
    random = np.random.default_rng(time.monotonic_ns())
    times: dict[str, list[float]] = {n: [] for n in ("claim new", "add", "claim known", "sample")}
    for seed in range(repeats):
        rows = split(made_up(64 * shards + 200, random), shards)[shard._shard]
        rows = rows.select(range(min(64, len(rows))))
        times["claim new"].append(timed(partial(shard.claim, "benchmark", rows.keys)))
        times["add"].append(timed(partial(shard.add, rows, "benchmark")))
        times["claim known"].append(timed(partial(shard.claim, "benchmark", rows.keys)))
        times["sample"].append(timed(partial(shard.sample, 64, seed)))
    return times


def growth(rows: int, shards: int = 4, repeats: int = 500) -> None:
    marks = [m for m in (100_000, 10**6, 2 * 10**6, 5 * 10**6, 10**7) if m <= rows] or [rows]
    table: list[list[object]] = []
    with tempfile.TemporaryDirectory() as directory:
        before, begun = resident(), time.perf_counter()
        held = new_shards(shards, Path(directory))
        for done in fill(held, marks[-1], 0):
            if done < marks[len(table)]:
                continue
            seconds = time.perf_counter() - begun
            times = latencies(held[0], shards, repeats)
            table.append(
                [
                    f"{done:,}",
                    f"{seconds:.0f}",
                    f"{(resident() - before) / 1e6:.0f}",
                    f"{sum(s.stats().held_bytes for s in held) / 1e6:.0f}",
                    *(
                        " / ".join(f"{x:.2f}" for x in (*np.quantile(t, [0.5, 0.99]), max(t)))
                        for t in times.values()
                    ),
                ]
            )
    show(
        f"Growing to {marks[-1]:,} rows on {shards} shards; milliseconds for 64 rows at one shard, "
        "median / 99 % / longest",
        ", ".join(["rows", "seconds", "resident MB", "held MB", *times]),
        table,
    )


def reload(rows: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        for shard in (held := new_shards(1, Path(directory))):
            for _ in fill(held, rows, 0):
                pass
            shard.flush()
        stored = sum(f.stat().st_size for f in Path(directory).iterdir())

        def again() -> list[object]:
            before, begun = resident(), time.perf_counter()
            (shard,) = new_shards(1, Path(directory))
            seconds = time.perf_counter() - begun
            assert shard.stats().rows == rows
            return [
                f"{rows:,}",
                f"{stored / 1e6:.0f}",
                f"{seconds:.1f}",
                f"{rows / seconds:,.0f}",
                f"{(resident() - before) / 1e6:.0f}",
            ]

        show(
            "A shard's return from its record",
            "rows, MB on disk, seconds, rows per s, resident MB",
            [in_own_process(again)],
        )


def in_own_process(call: Callable[[], T]) -> T:
    """Result of a call in a fork of this process, so that its memory is freed."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sender.send(call()))
    process.start()
    sender.close()
    answer: T = receiver.recv()
    process.join()
    return answer


def main() -> None:
    tables = {"memory": memory, "sampling": sampling, "growth": growth, "reload": reload}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", choices=tables, default=list(tables))
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    for name in arguments.tables:
        in_own_process(partial(tables[name], arguments.rows))


if __name__ == "__main__":
    main()

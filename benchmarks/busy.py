"""Duration of commands while another process uses one of the cores, and without that.

    python benchmarks/busy.py

Each figure is the time of a whole process, the median of the rounds. The command as shipped stands
beside the same command with PyTorch's own threads in each operation.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import median

from common import EXAMPLES, markdown

from sequence_tutor.policies.prior import load_prior

PRIOR = "zinc250k"
SHIPPED = "as shipped"
THREADS = {"1 thread": 1, "2 threads": 2, SHIPPED: None}


def commands(data: Path, out: Path) -> dict[str, list[str]]:
    """Arguments by command name; each run needs an `out` that doesn't exist."""
    few = ["--report-samples", "500", "--epochs", "1"]
    return {
        "sample -n 2000": ["sample", PRIOR, "-n", "2000", "--seed", "0", "--out", str(out)],
        "evaluate -n 1000": ["evaluate", PRIOR, "-n", "1000"],
        "pretrain": ["pretrain", str(data), "--out", str(out), *few],
        "optimize, 64 scores": [
            *["optimize", str(EXAMPLES / "molecules.toml"), "--out", str(out)],
            *["--set", "stop.scores=64"],
        ],
    }


def with_own_threads(threads: int, arguments: list[str]) -> None:
    """Run the command in this process with this number of PyTorch's own threads."""
    import torch

    from sequence_tutor.distributed.commands import cli
    from sequence_tutor.policies import pretrain, prior

    torch.set_num_threads(threads)
    for module in (prior, pretrain):
        module.unshared_operations = lambda: nullcontext(1)  # type: ignore[attr-defined]
    sys.argv = ["sequence-tutor", *arguments]
    cli.main()


def seconds(threads: int | None, arguments: list[str]) -> float:
    """Seconds of a whole process; None is the command as shipped."""
    command = ["sequence-tutor"]
    if threads is not None:
        command = [sys.executable, __file__, "--own-threads", str(threads), "--"]
    started = time.perf_counter()
    subprocess.run([*command, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


@contextmanager
def one_core_busy(busy: bool) -> Iterator[None]:
    if not busy:
        yield
        return
    hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        hog.kill()
        hog.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--commands", nargs="*", help="Those that begin so, by default all.")
    parser.add_argument("--own-threads", type=int, help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.own_threads is not None:
        with_own_threads(options.own_threads, options.arguments)
        return
    rows = []
    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "data.smi"
        data.write_text("\n".join(sorted(set(load_prior(PRIOR).sample(1500, seed=0)))))
        for name in commands(data, data):
            if options.commands and not name.startswith(tuple(options.commands)):
                continue
            for busy in (False, True):
                taken: dict[str, list[float]] = {way: [] for way in THREADS}
                for i in range(options.rounds):
                    for way, threads in THREADS.items():
                        out = Path(place) / f"{name}-{busy}-{i}-{way}".replace(" ", "-")
                        with one_core_busy(busy):
                            taken[way].append(seconds(threads, commands(data, out)[name]))
                found = [median(times) for times in taken.values()]
                ratio = found[-1] / min(found[:-1])
                state = "one core busy" if busy else "idle"
                cells = [f"{value:.1f}" for value in found]
                rows.append([name, state, *cells, f"{ratio:.2f}"])
                print(*rows[-1], file=sys.stderr, flush=True)
    print(markdown(["seconds", "", *THREADS, "shipped / best of both"], rows))


if __name__ == "__main__":
    main()

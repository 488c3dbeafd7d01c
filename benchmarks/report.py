"""How large runs open: time to make the page, its size, time to the first drawing, and scrolling.

python benchmarks/report.py --rows 1000 100000

The runs are made up: molecules of the prior zinc250k's data and combinations of them, with random
rewards. It needs Chromium (the command `chromium`) and Playwright.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import markdown

sys.path.append(str(Path(__file__).parent.parent / "tests" / "support"))
from pages import put_on_record, scored_rows  # noqa: E402

from sequence_tutor.distributed.commands.report import write_report  # noqa: E402
from sequence_tutor.distributed.config import RunConfig  # noqa: E402
from sequence_tutor.policies.find_prior import example_data  # noqa: E402

# Scroll steps of a measurement, and pixels of each.
STEPS, STEP = 60, 700


def made_up(directory: Path, rows: int) -> Path:
    """A run with this number of rows and three components."""
    run = RunConfig.model_validate(
        {
            "prior": "zinc250k",
            "reward": {"component": [{"name": "qed"}, {"name": "logp"}, {"name": "sa"}]},
            "learner": {"temperature": 0.1},
        }
    )
    data = example_data("zinc250k")
    random = np.random.default_rng(0)
    texts = [f"{data[i % len(data)]}.{'C' * (1 + i // len(data))}" for i in range(rows)]
    raw = {name: random.normal(size=rows) for name in ("qed", "logp", "sa")}
    sources = random.choice(["policy", "genetic", "data"], rows).tolist()
    scored = scored_rows(texts, random.random(rows), sources=sources, raw=raw)
    return put_on_record(directory, run, scored)


def opened(browser: Any, page_file: Path) -> dict[str, float]:
    """Seconds from the address to the first drawing and to the whole page, and milliseconds between
    two frames while the table scrolls."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    began = time.perf_counter()
    page.goto(page_file.resolve().as_uri(), wait_until="commit")
    page.wait_for_selector("#gallery svg", state="attached", timeout=60_000)
    first = time.perf_counter() - began
    page.wait_for_selector("html[data-ready]", state="attached", timeout=60_000)
    ready = time.perf_counter() - began
    frames = page.evaluate(
        """([steps, step]) => new Promise((resolve) => {
            const box = document.getElementById('table-box'), times = [];
            let last = performance.now();
            const next = () => {
                const now = performance.now();
                times.push(now - last);
                last = now;
                if (times.length > steps) resolve(times.slice(1));
                else { box.scrollTop += step; requestAnimationFrame(next); }
            };
            requestAnimationFrame(next);
        })""",
        [STEPS, STEP],
    )
    page.close()
    return {
        "first": first,
        "ready": ready,
        "median frame": float(np.median(frames)),
        "95 % of frames": float(np.quantile(frames, 0.95)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="+", type=int, default=[1000, 100_000])
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright
    from rich.console import Console

    lines: list[list[object]] = []
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for rows in options.rows:
            place = made_up(Path(scratch) / str(rows), rows)
            began = time.perf_counter()
            write_report(place, None, None, Console(quiet=True))
            making = time.perf_counter() - began
            file = place / "report.html"
            found = [opened(browser, file) for _ in range(options.times)]
            medians = [float(np.median([one[name] for one in found])) for name in found[0]]
            lines.append([rows, f"{making:.1f}", f"{file.stat().st_size / 1e6:.1f}"])
            lines[-1] += [
                f"{value:.2f}" if at < 2 else f"{value:.0f}" for at, value in enumerate(medians)
            ]
        browser.close()
    heads = ["rows", "made in, s", "MB", "first drawing, s", "whole page, s"]
    print(markdown([*heads, "frame, ms", "95 % of frames, ms"], lines))


if __name__ == "__main__":
    main()

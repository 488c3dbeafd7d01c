"""Runs on record that were never run, and a browser to look at their pages."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import to_toml
from sequence_tutor.distributed.replay.record.writer import RecordWriter
from sequence_tutor.distributed.types import Scored
from sequence_tutor.rewards.base import Status

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def scored_rows(
    sequences: Sequence[str],
    rewards: Sequence[float],
    status: Sequence[Status] | None = None,
    errors: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
    raw: dict[str, np.ndarray] | None = None,
    keys: Sequence[str] | None = None,
) -> Scored:
    """Rows that were scored one second after the other."""
    n = len(sequences)
    return Scored(
        tokens=np.ones((n, 1), np.int16),
        lengths=np.ones(n, np.int32),
        log_probs=np.full(n, np.nan, np.float32),
        rewards=np.array(rewards, np.float64),
        step_rewards=None,
        status=np.array([Status.OK] * n if status is None else status, np.int8),
        versions=np.full(n, -1, np.int32),
        scored_at=1.7e9 + np.arange(n),
        seconds=np.full(n, 0.25, np.float32),
        sequences=list(sequences),
        keys=list(sequences if keys is None else keys),
        errors=[""] * n if errors is None else list(errors),
        sources=["policy"] * n if sources is None else list(sources),
        actors=["actor"] * n,
        raw=raw or {},
        transformed={},
    )


def put_on_record(directory: Path, run: RunConfig, rows: Scored) -> Path:
    """A run directory with a config, a record and a line of metrics."""
    (directory / "scores").mkdir(parents=True, exist_ok=True)
    (directory / "config.toml").write_text(to_toml(run), encoding="utf-8")
    writer = RecordWriter(directory / "scores", 0, reward_id=run.reward.identity())
    writer.append(rows)
    writer.flush()
    ticks = [
        {"scores_used": n, "elapsed_s": n / 4, "reward_mean": 0.1, "updates": n // 10}
        | {"kl_to_prior": n / 200, "valid_share": 0.9, "repeated_share": None, "temperature": 0.02}
        for n in range(0, len(rows), max(1, len(rows) // 20))
    ]
    text = "".join(json.dumps(tick) + "\n" for tick in ticks)
    (directory / "metrics.jsonl").write_text(text)
    return directory


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A real browser without a window. Skips where this machine has none, but not in CI."""
    sync_api = pytest.importorskip("playwright.sync_api")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up(f"there is no browser: install one of {', '.join(BROWSERS)}")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page and waits until it is ready; at the end checks that nothing went wrong in it and
    that it asked for nothing beyond itself."""
    contexts, complaints, asked = [], [], []

    def open_page(where: Path | str, width: int = 1280, dark: bool = False, **options: Any) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            accept_downloads=True,
            **options,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message) or dialog.dismiss())
        url = where if isinstance(where, str) else where.resolve().as_uri()
        page.on("request", lambda r: asked.append(r.url) if _is_foreign(r.url, url) else None)
        page.goto(url)
        page.wait_for_selector("html[data-ready]", state="attached", timeout=30_000)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert asked == []


def _is_foreign(url: str, own: str) -> bool:
    kind = url.split(":")[0]
    return kind not in ("data", "blob") and not url.startswith(own.split("?")[0])

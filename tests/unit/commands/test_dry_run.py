"""`optimize --dry-run` says what a run would be and starts nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sequence_tutor.distributed.commands.optimize import Options, optimize
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import to_toml


@pytest.fixture
def dry(command: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Run `optimize CONFIG --dry-run --local` on a config, into tmp_path/out."""

    def run(config: RunConfig, *arguments: object) -> Any:
        file = tmp_path / "run.toml"
        file.write_text(to_toml(config))
        place = ("--out", tmp_path / "out", "--local", "--dry-run")
        return command("optimize", file, *place, *arguments)

    return run


def test_it_says_what_would_run_and_writes_nothing(
    dry: Callable[..., Any], make_run: Callable[..., RunConfig], tmp_path: Path
):
    components = [{"name": "qed"}, {"name": "alerts", "smarts": ["[SH]"], "role": "filter"}]
    run = make_run(reward={"component": components}, stop={"scores": 10_000})
    done = dry(run)
    assert done.code == 0, done
    for part in (
        f"into {tmp_path / 'out'} this run would go:",
        "alerts (filter, 3 ms), qed (1 ms)",  # in the order of their calls
        "stop.scores = 10,000",
        "about 1,248 of 16 sequences each",  # 2 (10,000 - 16) / 16
        "about 40 s of one core at most, as filters save calls (4 ms each, as measured)",
        "one, without Ray",
        "MB for the replay",
    ):
        assert part in done.out, (part, done.out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.toml"]


def test_the_cost_of_an_own_function_is_unknown(
    dry: Callable[..., Any], make_run: Callable[..., RunConfig], plugins: Path
):
    own = {"name": "python", "function": f"{plugins / 'user_rewards.py'}:carbons"}
    done = dry(make_run(reward={"component": [own, {"name": "qed"}]}))
    assert done.code == 0 and "python (unknown: your own function)" in done.out, done
    assert "and what python takes" in done.out and "nan" not in done.out


def test_each_stage_is_told(dry: Callable[..., Any], make_run: Callable[..., RunConfig]):
    stages = [{"stop": {"scores": 30}}, {"stop": {"scores": 20}}]
    done = dry(make_run(stage=stages))
    assert done.code == 0 and "stage 1 of 2" in done.out and "stop.scores = 20" in done.out


def test_mistakes_are_those_of_a_start(
    dry: Callable[..., Any], make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Any
):
    dry(make_run(prior="none")).refused("no prior at 'none'")
    wrong = {"component": [{"name": "similarity", "smiles": "C(("}]}
    dry(make_run(reward=wrong)).refused("C((")
    dry(make_run(), "--warm-start", tmp_path / "none.csv").refused("none.csv")
    dry(make_run(), "--resume").refused("holds no run to resume")
    optimize(make_run(stop={"scores": 40}), tmp_path / "out", quiet, Options(local=True))
    dry(make_run()).refused("exists already")
    before = sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*") if p.is_file())
    done = dry(make_run(stop={"scores": 80}), "--resume")
    assert done.code == 0 and "goes on     from" in done.out, done
    after = sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*") if p.is_file())
    changed = {p.name for p, _ in set(after) ^ set(before)}
    assert changed == {"run.toml"}

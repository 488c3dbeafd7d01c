"""Every Python block of the documents runs; the blocks of a page share their names."""

from __future__ import annotations

import importlib
import re
import sys
from functools import partial
from pathlib import Path

import pytest

import sequence_tutor.distributed as tutor
from sequence_tutor.distributed.config_file import parse_config
from sequence_tutor.rewards import registry
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.domains import domain_named

ROOT = Path(__file__).parents[2]
# test_docs_commands.py runs those of the tutorials, between their commands
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
PAGES = [page for page in PAGES if page.parent.name != "tutorials"]
CONFIG = """
prior = {prior}
[reward]
[[reward.component]]
name = "logp"
[learner]
temperature = 0.5
batch = 16
[replay]
min_rows = 16
ratio = 2.0
shards = 1
[actors]
batch = 32
[stop]
scores = 64
"""


def python_blocks(text: str) -> list[str]:
    return re.findall(r"^```python[ \t]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


WITH_BLOCKS = [page for page in PAGES if python_blocks(page.read_text())]


def test_there_are_pages_with_python():
    assert {page.name for page in WITH_BLOCKS} >= {
        "README.md",
        "python.md",
        "rewards.md",
        "search.md",
    }


@pytest.fixture
def at_work(tmp_path: Path, tiny_prior: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's working directory with a my.toml."""
    (tmp_path / "my.toml").write_text(CONFIG.format(prior=repr(str(tiny_prior))))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def keep_components(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo registrations afterwards, but for those of modules that stay imported."""
    for name in ("molecules", "melodies"):
        domain_named(name).load_components()
    importlib.import_module("sequence_tutor.rewards.external.components")
    monkeypatch.setattr(registry, "_COMPONENTS", dict(registry._COMPONENTS))


@pytest.mark.parametrize(
    "page",
    [
        # its blocks run twice on Ray
        pytest.param(page, marks=pytest.mark.nightly if page.name == "python.md" else ())
        for page in WITH_BLOCKS
    ],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_the_blocks_of_a_page_run(
    local_ray: None, at_work: Path, tiny_prior: Path, page: Path, monkeypatch: pytest.MonkeyPatch
):
    keep_components(monkeypatch)
    if page.name != "python.md":  # which has the same on Ray
        monkeypatch.setattr(tutor, "optimize", partial(tutor.optimize, local=True))
    names: dict[str, object] = {"__name__": "notebook"}
    for block in python_blocks(page.read_text()):
        first = block.splitlines()[0]
        if found := re.fullmatch(r"# (\w+\.py)", first):  # a file of the user's
            (at_work / found[1]).write_text(block)
            importlib.import_module(found[1].removesuffix(".py"))
            monkeypatch.delitem(sys.modules, found[1].removesuffix(".py"))
        # the shipped prior is slow
        exec(compile(block.replace('"zinc250k"', repr(str(tiny_prior))), str(page), "exec"), names)


def test_the_functions_of_the_page_on_rewards_are_components(
    at_work: Path, monkeypatch: pytest.MonkeyPatch
):
    keep_components(monkeypatch)
    for block in python_blocks((ROOT / "docs" / "rewards.md").read_text()):
        if block.startswith("# my_rewards.py"):
            (at_work / "my_rewards.py").write_text(block)
        else:
            exec(block, {"__name__": "notebook"})
    chosen = [
        {"name": "python", "function": "my_rewards:carbons"},
        {"name": "excess_atoms", "above": 1},
    ]
    reward = build_reward(parse_config({"reward": {"component": chosen}}).reward)
    scores = reward.score(["CCO"])
    assert scores.raw["python"][0] == 2 and scores.raw["excess_atoms"][0] == 2
    monkeypatch.delitem(sys.modules, "my_rewards")


def test_control_python_blocks_are_found():
    assert python_blocks("x\n```python\n1 / 0\n```\n") == ["1 / 0\n"]

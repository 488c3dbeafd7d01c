"""The documents: their files exist, the examples load, and no file has a private path."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path

import pytest

from sequence_tutor.distributed.config_file import load_config
from sequence_tutor.distributed.generating.proposers import check_proposers
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.domains import domain_of
from sequence_tutor.rewards.molecules.docking.receptor import PACKAGES

ROOT = Path(__file__).parents[2]
# examples/peptides needs its own package: see tests/integration/test_peptides.py
EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))
# home directories, workplaces, scratch space
PRIVATE = re.compile(r"(?<![\w.$}/-])/(?:home|root|Users|work|tmp/w)/[\w.-]+")


def bash_blocks(text: str) -> list[str]:
    return re.findall(r"^```bash[ \t]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def files_named(block: str) -> list[str]:
    """Paths in a block that a fresh clone must have."""
    block = re.sub(r"--out \S+", "", block)
    return re.findall(r"(?<![\w./-])((?:examples|tests|docs|cluster)/[\w./-]+|[\w-]+\.txt)", block)


def files_below(root: Path, ignored: list[str]) -> list[Path]:
    """Files below a folder, without directories that match a pattern, as these may change."""
    found = []
    for folder, inside, names in os.walk(root):
        inside[:] = [d for d in inside if not any(fnmatch(f"{d}/", p) for p in ignored)]
        found += [path for name in names if not (path := Path(folder, name)).is_symlink()]
    return found


def tracked_files() -> list[Path]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, capture_output=True, cwd=ROOT)
    if done.returncode:  # not a git checkout, as in an unpacked archive
        return files_below(ROOT, (ROOT / ".gitignore").read_text().split())
    paths = [ROOT / name for name in done.stdout.decode().split("\0") if name]
    return [p for p in paths if p.is_file() and not p.is_symlink()]


def test_readme_begins_with_optimize_and_the_tests():
    first, second = bash_blocks((ROOT / "README.md").read_text())[:2]
    assert "sequence-tutor optimize examples/" in first
    assert "pytest" in second
    for block in (first, second):
        assert "-c constraints.txt" in block
        assert [f for f in files_named(block) if not (ROOT / f).exists()] == []


def test_control_files_named_in_a_block_are_found():
    assert files_named("sequence-tutor optimize examples/none.toml --out runs/x") == [
        "examples/none.toml"
    ]


def test_there_are_examples():
    assert EXAMPLES


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_an_example_loads_and_its_reward_compiles(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(path.parent))  # the example's own functions are there
    run = load_config(path)
    if any(one.name == "docking" for one in run.reward.component):
        for package in PACKAGES:
            pytest.importorskip(package, reason="the extra docking isn't installed")
    build_reward(run.reward, domain_of(run.encoding).name)
    check_proposers(run)


def test_no_file_has_a_private_path():
    found = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:  # weights and the like
            continue
        if path != Path(__file__):
            found += [f"{path.relative_to(ROOT)}: {m}" for m in PRIVATE.findall(text)]
    assert found == []


def test_control_private_paths_are_found():
    for before, root in (("prior=", "home"), ("see ", "work"), ('"', "root")):
        assert PRIVATE.search(f"{before}/{root}/x"), root
    for text in ("https://x.org/home/page", "../shared/data", "build/home/x"):
        assert not PRIVATE.search(text), text


def modules_with_doctests() -> list[str]:
    names = []
    for room in ("distributed", "policies", "rewards"):
        for path in sorted((ROOT / room).rglob("*.py")):
            if re.search(r"^\s*>>> ", path.read_text(), re.MULTILINE):
                parts = path.relative_to(ROOT).with_suffix("").parts
                names.append(".".join(("sequence_tutor", *parts)).removesuffix(".__init__"))
    return names


@pytest.mark.parametrize("name", modules_with_doctests())
def test_doctests_of_a_module_pass(name: str):
    result = doctest.testmod(import_module(name))
    assert result.attempted and not result.failed


def test_help_needs_no_heavy_imports(tmp_path: Path):
    code = (
        "import sys, sequence_tutor.distributed.commands.cli as cli\n"
        "assert not {'ray', 'torch', 'rdkit'} & set(sys.modules), sorted(sys.modules)\n"
        "cli.app(['--help'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    for command in ("pretrain", "optimize", "sample", "evaluate"):
        assert command in done.stdout

"""Dependencies point one way: distributed -> policies, rewards; those two know neither Ray nor
each other."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {
    "policies": {"ray", "rdkit", "sequence_tutor.rewards", "sequence_tutor.distributed"},
    "rewards": {"ray", "torch", "sequence_tutor.policies", "sequence_tutor.distributed"},
    "distributed": {"rdkit", "sequence_tutor.rewards.molecules", "sequence_tutor.rewards.melodies"},
}
BLOCK = """
import importlib, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ImportError("blocked: " + name)

blocked, modules = {blocked!r}, {modules!r}
sys.meta_path.insert(0, Block())
for module in modules:
    importlib.import_module(module)
"""


def imported(source: str) -> set[str]:
    """Every module that a source imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or ""} | {f"{node.module}.{a.name}" for a in node.names}
    return names


def offences(names: set[str], forbidden: set[str]) -> set[str]:
    return {n for n in names for f in forbidden if n == f or n.startswith(f"{f}.")}


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_imports_only_what_it_may(room: str):
    for path in (ROOT / room).rglob("*.py"):
        found = offences(imported(path.read_text()), FORBIDDEN[room])
        assert not found, f"{path.relative_to(ROOT)} imports {', '.join(sorted(found))}"


def test_control_a_hidden_import_is_found():
    source = "def f():\n    from sequence_tutor import rewards\n    import ray.util"
    assert offences(imported(source), FORBIDDEN["policies"]) == {
        "ray.util",
        "sequence_tutor.rewards",
    }


def modules_of(folder: str, *, but: tuple[str, ...] = ()) -> list[str]:
    files = (p for p in (ROOT / folder).rglob("*.py") if p.stem not in (*but, "__main__"))
    parts = [p.relative_to(ROOT).with_suffix("").parts for p in sorted(files)]
    return [".".join(("sequence_tutor", *p)).removesuffix(".__init__") for p in parts]


def import_with_blocked(
    blocked: set[str], modules: list[str], cwd: Path
) -> subprocess.CompletedProcess[str]:
    code = BLOCK.format(blocked=blocked, modules=modules)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=cwd)


@pytest.mark.parametrize(
    ("folder", "blocked"),
    [
        ("policies", {"rdkit", "ray"}),
        ("rewards", {"torch", "ray"}),
        # what a scorer or a shard loads stays small and starts fast
        ("distributed/replay", {"torch", "rdkit"}),
    ],
)
def test_a_room_loads_without_the_others(folder: str, blocked: set[str], tmp_path: Path):
    done = import_with_blocked(blocked, modules_of(folder), tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_scorer_loads_without_torch(tmp_path: Path):
    names = ("types", "scorer", "config", "weights", "checkpoint", "resources", "respell")
    modules = [f"sequence_tutor.distributed.{name}" for name in names]
    done = import_with_blocked({"torch"}, modules, tmp_path)
    assert done.returncode == 0, done.stderr


def test_control_the_block_blocks(tmp_path: Path):
    done = import_with_blocked({"torch"}, ["sequence_tutor.distributed.actor"], tmp_path)
    assert "blocked: torch" in done.stderr

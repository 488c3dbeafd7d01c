"""The packages listed are those on disk, all under the name `sequence_tutor`."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("distributed", "policies", "rewards")


def packages_on_disk(root: Path) -> set[str]:
    inits = [init for room in ROOMS for init in (root / room).rglob("__init__.py")]
    return {f"sequence_tutor.{'.'.join(i.parent.relative_to(root).parts)}" for i in inits}


def test_packages_listed_are_those_on_disk():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert sorted(setuptools["packages"]) == sorted(packages_on_disk(ROOT))
    assert setuptools["package-dir"] == {f"sequence_tutor.{room}": room for room in ROOMS}


def test_control_a_new_package_is_found(tmp_path: Path):
    (tmp_path / "rewards" / "new").mkdir(parents=True)
    (tmp_path / "rewards" / "new" / "__init__.py").touch()
    assert packages_on_disk(tmp_path) == {"sequence_tutor.rewards.new"}


def test_every_directory_with_modules_is_a_package():
    folders = {p.parent for room in ROOMS for p in (ROOT / room).rglob("*.py")}
    assert [f for f in folders if not (f / "__init__.py").is_file()] == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_bare_import_raises(room: str, tmp_path: Path):
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {room}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 1
    assert f"ImportError: import sequence_tutor.{room} instead of {room}" in done.stderr


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_are_typed(room: str):
    package = import_module(f"sequence_tutor.{room}")
    assert (Path(next(iter(package.__path__))) / "py.typed").is_file()


def test_the_command_is_declared():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts["sequence-tutor"].partition(":")
    assert callable(getattr(import_module(module), function))


def test_constraints_pin_every_direct_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + sum(project["optional-dependencies"].values(), [])
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    )
    pinned = {name.lower().replace("_", "-") for name in pins}
    for requirement in wanted:
        name = requirement.split(">")[0].split("[")[0].lower().replace("_", "-")
        assert name in pinned | {"sequence-tutor"}, name
    # a local version such as +cpu can't be installed elsewhere
    assert not [name for name, version in pins.items() if "+" in version]


def version_of_the_citation(text: str) -> tuple[str, str]:
    """Version and date of a CITATION.cff."""
    found = re.search(r"^version: (\S+)\ndate-released: (\S+)$", text, re.MULTILINE)
    assert found is not None
    return found[1], found[2]


def test_citation_and_changelog_have_the_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    cited, date = version_of_the_citation((ROOT / "CITATION.cff").read_text())
    assert cited == version
    assert f"\n## {version} ({date})\n" in (ROOT / "CHANGELOG.md").read_text()


def test_control_another_version_of_the_citation_is_found():
    text = "version: 9.9.9\ndate-released: 2000-01-01\n"
    assert version_of_the_citation(text) == ("9.9.9", "2000-01-01")

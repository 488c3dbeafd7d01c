"""The wheel that a cluster's machines install works without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as the cluster files say."""
    directory = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", ".", "--no-deps", "--wheel-dir", directory],
        cwd=ROOT,
        check=True,
    )
    (built,) = directory.iterdir()
    return built


def test_the_wheel_has_only_the_package_and_its_priors(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    code = {f"sequence_tutor/{p.relative_to(ROOT)}" for p in (ROOT / "distributed").rglob("*.py")}
    assert code <= names
    priors = [p for p in (ROOT / "policies" / "priors").rglob("*") if p.is_file()]
    assert len(priors) > 5
    assert {f"sequence_tutor/{p.relative_to(ROOT)}" for p in priors} <= names
    assert {name.split("/")[0] for name in names} == {
        "sequence_tutor",
        wheel.name.replace("-py3-none-any.whl", ".dist-info"),
    }


def test_the_wheel_samples_a_prior_without_the_checkout(wheel: Path, tmp_path: Path):
    """Dependencies come from this environment, which has this checkout as well, so check that the
    wheel's code ran."""
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    code = (
        "import sequence_tutor.distributed.commands.cli as cli, sys; print(cli.__file__);"
        "sys.argv = ['sequence-tutor', 'sample', 'zinc250k', '-n', '3']; cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    where, *molecules = done.stdout.splitlines()
    assert Path(where).is_relative_to(installed)
    assert len([line for line in molecules if line.strip()]) >= 3

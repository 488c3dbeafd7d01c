"""The unit tier needs no Ray: neither its modules nor, by tests/unit/conftest.py, its tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = """
import sys, pytest
sys.modules["ray"] = None
sys.exit(pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", sys.argv[1]]))
"""


@pytest.mark.parametrize(
    ("tier", "collected"), [("tests/unit", True), ("tests/integration/test_pool.py", False)]
)
def test_modules_of_the_unit_tier_import_without_ray(tier: str, collected: bool):
    done = subprocess.run(
        [sys.executable, "-c", CODE, tier], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode == 0) is collected, done.stdout[-2000:]
    assert ("import of ray halted" in done.stdout) is not collected

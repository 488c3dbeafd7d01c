"""policies stands on its own: no chemistry toolkit, no cluster framework."""

from __future__ import annotations

import subprocess
import sys

BLOCKED_IMPORT = """
import importlib, pkgutil, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("rdkit", "ray"):
            raise ImportError("blocked: " + name)

sys.meta_path.insert(0, Block())
"""
ALL_MODULES = """
import sequence_tutor.policies as root
names = [m.name for m in pkgutil.iter_modules(root.__path__)]
for name in names:
    importlib.import_module("sequence_tutor.policies." + name)
assert not {"rdkit", "ray"} & set(sys.modules)
print(" ".join(names))
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_policies_import_without_rdkit_and_ray():
    done = run(BLOCKED_IMPORT + ALL_MODULES)
    assert done.returncode == 0, done.stderr
    assert {"kl_control", "network", "prior", "sampler"} <= set(done.stdout.split())


def test_control_the_block_blocks():
    for name in ("rdkit", "ray"):
        assert f"blocked: {name}" in run(BLOCKED_IMPORT + f"import {name}").stderr


def test_the_bare_name_is_refused(tmp_path):
    import sequence_tutor.policies as package

    (tmp_path / "policies").symlink_to(next(iter(package.__path__)))
    done = run(f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import policies")
    assert "import sequence_tutor.policies instead" in done.stderr

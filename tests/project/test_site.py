"""The documents as a site: it builds, and each link and anchor has its target."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", site, "-f", config]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_the_site_builds_without_a_broken_link(tmp_path: Path):
    done = build(ROOT / "mkdocs.yml", tmp_path / "site")
    assert done.returncode == 0, done.stderr
    for page in ("index.html", "docs/index.html", "docs/tutorials/assay.html", "ARCHITECTURE.html"):
        text = (tmp_path / "site" / page).read_text(encoding="utf-8")
        assert "fonts.googleapis.com" not in text and "google-analytics" not in text
    assert (tmp_path / "site" / "docs" / "images" / "report.png").is_file()


def test_control_a_broken_link_is_found(tmp_path: Path):
    for name in ("docs", "cluster", "policies/priors", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for file in [*ROOT.glob("*.md"), ROOT / "mkdocs.yml"]:
        shutil.copy(file, tmp_path)
    with (tmp_path / "docs" / "files.md").open("a") as page:
        page.write("\n[nowhere](none.md) [nor](config.md#nor-there)\n")
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    assert "none.md" in done.stderr and "#nor-there" in done.stderr

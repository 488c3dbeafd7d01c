"""For mkdocs: which files of the repository the site has, each at its own path.

So a link such as ../ARCHITECTURE.md works on GitHub and on the site as it stands, and mkdocs checks
it.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
# Pages beside those in docs/.
PAGES = (
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "cluster/README.md",
    "policies/priors/zinc250k/README.md",
    "policies/priors/lieder/README.md",
    "policies/priors/lieder-long/README.md",
)
LINK = re.compile(r"\]\(([^)\s#:]+)")


def pages() -> list[Path]:
    """All pages, as paths from the root of the repository."""
    return [Path(name) for name in PAGES] + [
        page.relative_to(ROOT) for page in sorted((ROOT / "docs").rglob("*.md"))
    ]


def linked(page: Path) -> list[Path]:
    """The files that a page links to or shows, such as pictures and examples."""
    targets = [(ROOT / page.parent / name).resolve() for name in LINK.findall(read(page))]
    return [target.relative_to(ROOT) for target in targets if target.is_file()]


def read(page: Path) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The site's files: pages, what they link to, and what the theme brings."""
    wanted = {*pages()}.union(*map(linked, pages()))
    ours = [
        File(path.as_posix(), str(ROOT), config.site_dir, config.use_directory_urls)
        for path in sorted(wanted)
    ]
    return Files([*ours, *(file for file in files if file.src_dir != config.docs_dir)])

"""The page as one file of HTML: the content, packed, with its scripts and its style."""

from __future__ import annotations

import base64
import re
import time
from hashlib import sha256
from html import escape
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from sequence_tutor.distributed.report.page.beside import Beside
from sequence_tutor.distributed.report.page.content import Run, run_content
from sequence_tutor.distributed.report.page.pack import Packer
from sequence_tutor.distributed.report.page.rows import Rows

# Scripts in the order in which they run; the first are other people's, see vendor/README.md.
VENDOR = ("chart.umd.min.js", "smiles-drawer.min.js")
SCRIPTS = (
    "data.js",
    "draw.js",
    "theme.js",
    "charts.js",
    "scatter.js",
    "details.js",
    "table.js",
    "export.js",
    "gallery.js",
    "compared.js",
    "tables.js",
    "main.js",
)


def page_of(
    run: Run, beside: Beside, made: float | None = None, live_every_s: float | None = None
) -> str:
    """The page about a run as HTML. beside: what it is compared with; made: Unix seconds, by
    default now; live_every_s: seconds between two questions for a newer page, where a server
    answers them. Raises ConfigError where nothing is on record."""
    return html_of(run_content(run, beside), made, live_every_s)


def html_of(
    content: dict[str, Any], made: float | None = None, live_every_s: float | None = None
) -> str:
    """The page with this content."""
    packer = Packer()
    rows: Rows = content["rows"]
    made = time.time() if made is None else made
    packed = packer.packed(
        content
        | {
            "rows": _packed_rows(rows, content["labels"], packer),
            "version": version("sequence-tutor"),
            "live_every_s": live_every_s,
            "made": made,
        }
    )
    vendor = [_asset(f"vendor/{name}") for name in VENDOR]
    own = "(() => {\n'use strict';\n" + "\n".join(map(_asset, SCRIPTS)) + "\n})();\n"
    scripts = [*vendor, own]
    policy = "; ".join(
        [
            "default-src 'none'",
            "script-src " + " ".join(f"'sha256-{_digest(script)}'" for script in scripts),
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            "media-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
            *(["connect-src 'self'"] if live_every_s else []),
        ]
    )
    parts = {
        "POLICY": policy,
        "TITLE": escape(content["title"]),
        "STYLE": _asset("page.css"),
        "SUMMARY": "".join(f"<p>{escape(text)}</p>" for text in content["summary"]),
        "DATA": packed,
        "SCRIPTS": "".join(f"<script>{script}</script>\n" for script in scripts),
    }
    # one pass, so that a text with {{DATA}} in it stays a text
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda found: parts[found[1]], _asset("page.html"))


def _packed_rows(rows: Rows, shown: dict[str, str], packer: Packer) -> dict[str, Any]:
    words, keys = rows.words, rows.words["key"]
    texts = [
        "" if sequence == key else sequence
        for sequence, key in zip(words["sequence"], keys, strict=True)
    ]
    named = {n: packer.words(v) for n, v in words.items() if n not in ("key", "sequence", "error")}
    return {
        "count": len(rows),
        "total": rows.total,
        "key": packer.texts(keys),
        "sequence": packer.texts(texts),
        "error": packer.words(words["error"]),
        "words": named,
        "numbers": {name: packer.numbers(rows.numbers[name]) for name in shown},
    }


def _asset(name: str) -> str:
    return (files("sequence_tutor.distributed.report.page") / "assets" / name).read_text("utf-8")


def _digest(script: str) -> str:
    return base64.b64encode(sha256(script.encode()).digest()).decode()

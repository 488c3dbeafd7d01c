"""Code in Markdown pages: its blocks, and the commands in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / n for n in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "cluster/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
FENCE = re.compile(r"```(\w*)[ \t]*")
# Words that a command begins with.
PROGRAMS = {
    *("sequence-tutor", "python", "python3", "python3.11", "pip", "pytest", "ray"),
    *("head", "export", "source", "cd", "mkdir", "git", "tar", "prometheus", "unzip", "mkdocs"),
    ".ci/run",
}
ASSIGNMENT = re.compile(r"\w+=")


@dataclass(frozen=True)
class Block:
    page: str
    """Path from the root of the repository."""
    line: int
    """Of its first line in the page, from 1."""
    language: str
    """What a fence says; empty for an indented block."""
    text: str

    @property
    def first(self) -> str:
        return self.text.partition("\n")[0]

    @property
    def is_shell(self) -> bool:
        """Whether it has commands: by its language, or because it begins with a program."""
        if self.language:
            return self.language in ("bash", "sh")
        words = [w for w in self.first.split() if not ASSIGNMENT.match(w)]
        return bool(words) and program(words[0]) in PROGRAMS

    def __str__(self) -> str:
        return f"{self.page}:{self.line} {self.first}"


def program(word: str) -> str:
    """The name of a program: `.venv/bin/pip` is pip."""
    return word if word in PROGRAMS else word.rpartition("/")[2]


def blocks_of(page: Path) -> list[Block]:
    return blocks(page.read_text(encoding="utf-8"), str(page.relative_to(ROOT)))


def blocks(text: str, page: str = "") -> list[Block]:
    """Fenced blocks, and indented ones, which begin after an empty line."""
    lines, found, n, after_empty = text.splitlines(), [], 0, True
    while n < len(lines):
        start, line = n, lines[n]
        if fence := FENCE.fullmatch(line):
            n = lines.index("```", n + 1)
            inside = lines[start + 1 : n]
            found.append(Block(page, start + 2, fence[1] or "text", "\n".join(inside)))
        elif line.startswith("    ") and after_empty:
            while n < len(lines) and (lines[n].startswith("    ") or not lines[n].strip()):
                n += 1
            inside = [each[4:] for each in lines[start:n]]
            found.append(Block(page, start + 1, "", "\n".join(inside).strip("\n")))
            n -= 1
        after_empty = not lines[n].strip() or lines[n] == "```"
        n += 1
    return found


def commands_of(block: Block) -> list[list[str]]:
    """The words of each command, without the environment that it sets."""
    found: list[list[str]] = []
    for line in block.text.replace("\\\n", " ").splitlines():
        for part in re.split(r" && | \| |; ", line):
            words = shlex.split(part, comments=True)
            while words and ASSIGNMENT.match(words[0]):
                del words[0]
            if words:
                found.append([program(words[0]), *words[1:]])
    return found

"""Counts that say how easily the source of a checkout is read: folders, imports, names and words.

    git archive 335cfb1 | tar -x -C /tmp/before
    python benchmarks/house.py /tmp/before .

prints a table with a column for each checkout, and with --listing the files of distributed/. A room
is the first folder or module below distributed/. Imports within functions count, those under
TYPE_CHECKING don't.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from common import markdown

PACKAGES = ("distributed", "policies", "rewards")
ENGINE = "sequence_tutor.distributed"
# Classes that have or had fields for the outcome of sequences: reward, status, error and so on.
OUTCOMES = {"Scores", "Scored", "Outcomes", "Outcome", "Brief", "Judged", "Done", "UnitResult"}
WORDS = re.compile(r"\b(?:who|whoever|nobody|somebody|everybody|anybody|so many)\b", re.IGNORECASE)
FIELDS = Path(__file__).resolve().parents[1] / "tests" / "project" / "test_fields.py"


def sources(root: Path, packages: Iterable[str] = PACKAGES) -> list[Path]:
    return [path for name in packages for path in sorted((root / name).rglob("*.py"))]


def modules_by_folder(root: Path) -> Counter[str]:
    """Modules of each folder, without `__init__`."""
    paths = [path for path in sources(root) if path.name != "__init__.py"]
    return Counter(str(path.parent.relative_to(root)) for path in paths)


def imported(tree: ast.AST) -> Iterator[str]:
    """Full names of imported modules, or of what is imported from them."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from imported(other)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from imported(node)


def room_imports(root: Path) -> Counter[tuple[str, str]]:
    """(importing room, imported room): how many modules of the one import from the other."""
    top = root / "distributed"
    rooms = {path.stem for path in top.iterdir() if path.suffix == ".py" or path.is_dir()}
    edges: set[tuple[Path, str, str]] = set()
    for path in sources(root, ["distributed"]):
        room = path.relative_to(top).parts[0].removesuffix(".py")
        for name in imported(ast.parse(path.read_text(encoding="utf-8"))):
            if not name.startswith(f"{ENGINE}."):
                continue
            other = name.removeprefix(f"{ENGINE}.").split(".")[0]
            if room != "__init__" and other in rooms - {room}:
                edges.add((path, room, other))
    return Counter((room, other) for _, room, other in edges)


def circles(edges: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Groups of rooms that import each other, directly or through others of the group."""
    reached: dict[str, set[str]] = {}
    for first, second in edges:
        reached.setdefault(first, set()).add(second)
        reached.setdefault(second, set())
    for through in reached:
        for room in reached:
            if through in reached[room]:
                reached[room] |= reached[through]
    groups = {
        tuple(sorted(b for b in reached[a] if a in reached[b])) for a in reached if a in reached[a]
    }
    return [list(group) for group in sorted(groups)]


def upward(edges: Counter[tuple[str, str]], group: list[str]) -> tuple[int, list[tuple[str, str]]]:
    """The fewest imports that point upward, over all orders of the rooms from top to bottom, and
    which rooms they connect."""
    number = {room: i for i, room in enumerate(group)}

    @cache
    def best(placed: int) -> tuple[int, tuple[tuple[str, str], ...]]:
        """Of the imports among the rooms that aren't placed above yet, a set of bits."""
        found: list[tuple[int, tuple[tuple[str, str], ...]]] = []
        for room in group:
            bit = 1 << number[room]
            if placed & bit:
                continue
            # the room comes next: what the rooms below it import from it points upward
            pairs = [
                (other, room)
                for other in group
                if other != room and not placed & (1 << number[other]) and (other, room) in edges
            ]
            rest = best(placed | bit)
            found.append((rest[0] + sum(edges[p] for p in pairs), (*pairs, *rest[1])))
        return min(found, default=(0, ()))

    count, pairs = best(0)
    return count, list(pairs)


def outcome_classes(root: Path) -> list[str]:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sources(root)]
    names = {node.name for t in trees for node in ast.walk(t) if isinstance(node, ast.ClassDef)}
    return sorted(names & OUTCOMES)


def fields_without_a_line(root: Path) -> int:
    spec = importlib.util.spec_from_file_location("test_fields", FIELDS)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    texts = [path.read_text(encoding="utf-8") for path in sources(root)]
    return sum(len(module.without_a_line(text)) for text in texts)


def lines(paths: Iterable[Path]) -> int:
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def counts(root: Path) -> dict[str, str]:
    """The rows of a checkout's column."""
    folders, edges = modules_by_folder(root), room_imports(root)
    groups = circles(edges)
    against = [upward(edges, group) for group in groups]
    tests = sorted((root / "tests").rglob("*.py"))
    files = [path for path in tests if path.name.startswith("test_")]
    texts = [path.read_text(encoding="utf-8") for path in sources(root)]
    rows: dict[str, str] = {}
    for name in PACKAGES:
        inside = Counter({f: n for f, n in folders.items() if f.split("/")[0] == name})
        ((folder, most),) = inside.most_common(1)
        rows[f"largest folder of {name}/, modules"] = f"{most} ({folder}/)"
    rows["modules in distributed/ itself"] = str(folders["distributed"])
    rows["import cycles between rooms"] = str(len(groups)) + "".join(
        f"; {', '.join(group)}" for group in groups
    )
    pairs = [f"{a} to {b}" for _, found in against for a, b in found]
    rows["imports that point upward in the best order"] = str(sum(n for n, _ in against)) + (
        f" ({'; '.join(sorted(pairs))})" if pairs else ""
    )
    classes = outcome_classes(root)
    rows["classes with fields for an outcome"] = f"{len(classes)} ({', '.join(classes)})"
    rows['uses of "who", "nobody", "so many" and the like'] = str(
        sum(len(WORDS.findall(text)) for text in texts)
    )
    rows["fields of records without a line under them"] = str(fields_without_a_line(root))
    rows["lines of source"] = f"{lines(sources(root)):,}"
    rows["lines of tests"] = f"{lines(tests):,}"
    rows["files of tests"] = str(len(files))
    rows["files of tests in tests/unit"] = str(
        sum(path.is_relative_to(root / "tests" / "unit") for path in files)
    )
    return rows


def listing(folder: Path, indent: str = "    ") -> str:
    """The modules of a folder, then its folders, each with its own."""
    names = sorted(path.stem for path in folder.glob("*.py") if path.name != "__init__.py")
    text = indent + f"\n{indent}".join(wrapped(names, 100 - len(indent))) + "\n"
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        if any(inner.glob("*.py")):
            text += f"{indent}{inner.name}/\n" + listing(inner, indent + "  ")
    return text


def wrapped(names: list[str], width: int) -> list[str]:
    rows = [""]
    for name in names:
        if len(rows[-1]) + len(name) > width:
            rows.append("")
        rows[-1] += f"{name}  "
    return [row.rstrip() for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("checkouts", nargs="+", type=Path, help="directories, in order of time")
    parser.add_argument("--listing", action="store_true", help="the modules of distributed/, too")
    options = parser.parse_args()
    columns = [counts(root) for root in options.checkouts]
    rows = [[name, *(column[name] for column in columns)] for name in columns[0]]
    print(markdown(["", *map(str, options.checkouts)], rows))
    if options.listing:
        for root in options.checkouts:
            print(f"\n{root}:\n\n{listing(root / 'distributed')}")


if __name__ == "__main__":
    main()

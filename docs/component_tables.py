"""Writes the tables of docs/rewards.md from the components and transforms that are registered.

    python docs/component_tables.py             # writes the tables
    python docs/component_tables.py --measure   # measures the times first, in minutes

A test compares the page with the tables. The times are in rewards/molecules/costs.json, in
microseconds; only their class, a power of ten, is on the page.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from sequence_tutor.rewards.described import (
    Description,
    costs,
    described_components,
    described_transforms,
    example_of,
)
from sequence_tutor.rewards.molecules.molecule import Molecule, parse
from sequence_tutor.rewards.molecules.tasks.drugs import DRUGS
from sequence_tutor.rewards.registry import RESERVED, Component, components

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))

PAGE = Path(__file__).with_name("rewards.md")
COSTS = Path(__file__).parents[1] / "rewards" / "molecules" / "costs.json"
# Their table is that of docs/tasks.md.
TASKS = "sequence_tutor.rewards.molecules.tasks"


def shown() -> list[Description]:
    """The components of molecules but for the tasks of benchmarks."""
    found = components("molecules")
    return [
        one
        for one in described_components("molecules")
        if not found[one.name].function.__module__.startswith(TASKS)
    ]


def component_table() -> str:
    """One row for each component."""
    lines = [
        "| name | value | range | time | options | reference | example |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in shown():
        options = ", ".join(f"`{option.short}`" for option in one.options)
        cells = [f"`{one.name}`", f"{one.value} {one.more}".strip(), one.range, one.cost]
        lines.append(_row([*cells, options, one.reference, f"`{one.example}`"]))
    return "\n".join(lines)


def option_table() -> str:
    """One row for each option of a component."""
    lines = ["| component | option | meaning |", "|---|---|---|"]
    for one in shown():
        for option in one.options:
            lines.append(_row([f"`{one.name}`", f"`{option.name}`", option.meaning]))
    return "\n".join(lines)


def transform_table() -> str:
    """One row for each transform."""
    lines = ["| type | value | range | options |", "|---|---|---|---|"]
    for one in described_transforms():
        options = ", ".join(f"`{option.short}`" for option in one.options)
        lines.append(_row([f"`{one.name}`", one.value, one.range, options]))
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def page() -> str:
    """The page with the tables of now."""
    text = PAGE.read_text(encoding="utf-8")
    tables = {
        "components": component_table,
        "options": option_table,
        "transforms": transform_table,
    }
    for name, table in tables.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, rest = text.split(begin)
        text = f"{before}{begin}\n\n{table()}\n\n{end}{rest.split(end)[1]}"
    return text


def measure() -> dict[str, float]:
    """Microseconds for a molecule, the mean over the drugs of the tasks, by component. Reading the
    molecule, which all components share, isn't part of it."""
    from onnx_files import linear_onnx

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("known.smi").write_text("\n".join(DRUGS.values()))
        Path("rings.json").write_text('{"rings": {}, "generic_rings": {}}')
        Path("model.onnx").write_bytes(linear_onnx([0.0] * 1024))
        marks = (f"{smiles},{1 + place % 5}" for place, smiles in enumerate(DRUGS.values()))
        Path("ratings.csv").write_text("\n".join(["sequence,mark", *marks]))
        for name, component in sorted(components("molecules").items()):
            if not (component.texts or component.function.__module__.startswith(TASKS)):
                found[name] = float(f"{_microseconds(component):.1g}")
        os.chdir(PAGE.parent)
    return found


def _microseconds(component: Component) -> float:
    (table,) = tomllib.loads(f"table = [{example_of(component)}]")["table"]
    options = {key: value for key, value in table.items() if key not in RESERVED}
    if component.check is not None:
        component.check(**options)
    if component.prepare is not None:
        component.prepare(**options)
    times = []
    # the first round loads tables, unless there is `prepare`
    for once in (False, True) if component.prepare is None else (True,):
        for smiles in DRUGS.values():
            mol = parse(smiles)
            assert mol is not None
            molecule = Molecule(smiles, mol)
            start = time.perf_counter()
            component.function(molecule, **options)
            times += [time.perf_counter() - start] if once else []
    return 1e6 * sum(times) / len(times)


if __name__ == "__main__":
    if "--measure" in sys.argv[1:]:
        COSTS.write_text(json.dumps(measure(), indent=2) + "\n", encoding="utf-8")
        costs.cache_clear()
    PAGE.write_text(page(), encoding="utf-8")

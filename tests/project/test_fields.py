"""Every field of a record has a line under it that says what it is."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("distributed", "policies", "rewards")
RECORDS = {"NamedTuple", "BaseModel", "Section"}


def is_record(node: ast.ClassDef) -> bool:
    """A public dataclass, NamedTuple or pydantic model."""
    decorated = any("dataclass" in ast.unparse(one) for one in node.decorator_list)
    bases = {ast.unparse(base).split(".")[-1] for base in node.bases}
    return not node.name.startswith("_") and (decorated or bool(bases & RECORDS))


def without_a_line(source: str) -> list[str]:
    """Public fields of records without a string under them."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ClassDef) or not is_record(node):
            continue
        for statement, following in zip(node.body, [*node.body[1:], None], strict=True):
            if not isinstance(statement, ast.AnnAssign) or not isinstance(
                statement.target, ast.Name
            ):
                continue
            name = statement.target.id
            if name.startswith("_") or "ClassVar" in ast.unparse(statement.annotation):
                continue
            described = isinstance(following, ast.Expr) and isinstance(
                following.value, ast.Constant
            )
            if not described:
                found.append(f"{node.name}.{name}")
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_every_field_has_a_line(room: str):
    found = {
        str(path.relative_to(ROOT)): names
        for path in sorted((ROOT / room).rglob("*.py"))
        if (names := without_a_line(path.read_text(encoding="utf-8")))
    }
    assert not found


def test_control_a_field_without_a_line_is_found():
    source = '''
@dataclass(frozen=True)
class Batch:
    tokens: int
    """int16 [B,T]."""
    lengths: int
    _own: int = 0
class Plain:
    x: int
'''
    assert without_a_line(source) == ["Batch.lengths"]


def script(name: str) -> ModuleType:
    """A script of docs/, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"docs/{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_of_the_components_are_those_of_the_registry():
    """`python docs/component_tables.py` writes them."""
    module = script("component_tables")
    assert module.PAGE.read_text(encoding="utf-8") == module.page()
    for name in ("similarity", "descriptor", "sequence_tutor"):
        assert f"| `{name}` |" in module.component_table()
    assert "| `similarity` | `radius` |" in module.option_table()
    assert "| `value_mapping` |" in module.transform_table()
    assert "zaleplon" not in module.component_table()  # a task, of another page


def test_the_table_of_the_config_has_the_lines_of_the_fields():
    """`python docs/config_table.py` writes it."""
    module = script("config_table")
    assert module.PAGE.read_text(encoding="utf-8") == module.page()
    for key in ("learner.temperature", "stop.sequences", "actors.max_batch"):
        assert f"| `{key}` |" in module.table()

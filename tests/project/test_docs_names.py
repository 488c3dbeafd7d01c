"""Commands, options and keys of the config that the documents name exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from sequence_tutor.distributed.commands import cli
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import table_model

ROOT = Path(__file__).parents[2]
TOP = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "cluster/README.md")
PAGES = [*(ROOT / name for name in TOP), *sorted((ROOT / "docs").glob("**/*.md"))]
# A path of the repository, as text in a page: folder/file.py, or folder/.
FOLDERS = "distributed|policies|rewards|tests|benchmarks|cluster|docs"
PATH = re.compile(rf"(?<![\w./-])((?:{FOLDERS})/[\w/.-]*\w\.(?:py|toml|yaml|md|json))\b")
# The table of another package's proposer, in docs/search.md.
EXAMPLE = "proposers.neighbours"
GROUP: Any = typer.main.get_command(cli.app)
COMMANDS: dict[str, Any] = GROUP.commands
# Options of other programs that a text may mention: of Ray, pip, benchmarks and `ray submit`.
OF_OTHERS = {"--real", "--runtime-env-json", "--working-dir", "--no-wait", "--require-hashes"}


def options_of(command: str) -> set[str]:
    parameters = COMMANDS[command].params
    return {o for p in parameters for o in (*p.opts, *p.secondary_opts)} | {"--help"}


def keys() -> set[str]:
    """All keys of the config, such as "seed" and "learner.batch"."""
    found = set()

    def add(model: type[BaseModel], tables: tuple[str, ...]) -> None:
        for name, field in model.model_fields.items():
            where = (*tables, field.alias or name)
            inner = table_model(where)
            if inner is None:
                found.add(".".join(where))
            else:
                add(inner, where)

    add(RunConfig, ())
    return found


def tables_of(found: set[str]) -> set[str]:
    """All tables, nested ones too, such as "learner" and "proposers.genetic"."""
    return {".".join(key.split(".")[:n]) for key in found for n in range(1, key.count(".") + 1)}


def wrong_commands(text: str) -> list[str]:
    """Uses of our command with a subcommand or an option that isn't there."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        for name, rest in re.findall(r"(?<![\w/.-])sequence-tutor +([a-z][\w-]*)([^`]*)", line):
            if name not in COMMANDS:
                # "the sequence-tutor package" and the like
                found += [name] if re.search(r"^ {4}|`", line) else []
                continue
            used = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", rest))
            found += [f"{name} {option}" for option in sorted(used - options_of(name))]
    return found


def wrong_options(text: str) -> list[str]:
    """Options that a sentence mentions, `--like this`, and no command has."""
    ours = {option for name in COMMANDS for option in options_of(name)}
    ours |= {option for parameter in GROUP.params for option in parameter.opts}
    return sorted(set(re.findall(r"`(--[a-z][\w-]*)", text)) - ours - OF_OTHERS)


def wrong_keys(text: str) -> list[str]:
    """Keys of our tables that aren't there, also in `learner.count`, `.gpus`."""
    tables = tables_of(keys())
    first = "|".join(sorted({table.split(".")[0] for table in tables}))
    name = rf"(?<![\w./-])(?:{first})(?:\.[a-z_0-9]+)+(?![\w/(])"
    used = {found for found in re.findall(name, text) if not found.endswith(".md")}
    for first, rest in re.findall(rf"`({name})`((?:, `\.\w+`)+)", text):
        used |= {f"{first.rpartition('.')[0]}{key}" for key in re.findall(r"\.\w+", rest)}
    return sorted(used - keys() - tables - {EXAMPLE})


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_options_and_keys_on_a_page_exist(page: Path):
    text = page.read_text()
    assert wrong_commands(text) == []
    assert wrong_options(text) == []
    assert wrong_keys(text) == []


def test_the_page_on_the_config_has_every_key():
    text = (ROOT / "docs" / "config.md").read_text()
    for key in keys():
        key = re.sub(r"^kind\.", "KIND.", key)
        table, _, last = key.rpartition(".")
        if key.split(".")[0] != "reward" and last != "resources":
            assert re.search(rf"`{re.escape(key)}`|`{table}\.\w+`.*`\.{last}`", text), key


def test_control_wrong_names_are_found():
    assert wrong_commands("    sequence-tutor optimise x.toml") == ["optimise"]
    assert wrong_commands("`sequence-tutor sample x --seeds 1`") == ["sample --seeds"]
    assert wrong_commands("    sequence-tutor sample x \\\n        --seeds 1") == ["sample --seeds"]
    assert wrong_options("add `--diversity 3`") == ["--diversity"]
    assert wrong_keys("`learner.temprature`") == ["learner.temprature"]
    assert wrong_keys("diversity.typ, see [diversity.md](diversity.md)") == ["diversity.typ"]
    assert wrong_keys("| `actors.count`, `.bath` | 1 |") == ["actors.bath"]
    assert wrong_keys("`screen.bath`, `proposers.genetic.batch` and [proposers.genetic]") == [
        "screen.bath"
    ]
    assert wrong_keys("`proposers.genetic.batch`, `.parent`") == ["proposers.genetic.parent"]
    assert wrong_keys("see tests/learner.py, `learner.batch` and `actors.count`, `.gpus`") == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_paths_that_a_page_names_exist(page: Path):
    named = set(PATH.findall(page.read_text(encoding="utf-8")))
    assert not sorted(name for name in named if not (ROOT / name).exists())


def test_control_a_path_that_is_not_there_is_found():
    assert PATH.findall("see policies/kl_control.py, `tests/none.py`.") == [
        "policies/kl_control.py",
        "tests/none.py",
    ]

"""Every code block of the documents is checked: as a command, a config, Python or YAML.

Commands are parsed here by the programs that would run them; `test_docs_commands.py` runs those of
ours, `test_docs_python.py` and `test_docs_programs.py` the Python.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from contextlib import nullcontext
from typing import Any

import pytest
import typer
import yaml
from doc_blocks import PAGES, ROOT, Block, blocks, blocks_of, commands_of
from pip._internal.commands import create_command
from ray.scripts.scripts import cli as ray_cli

from sequence_tutor.distributed.commands import cli
from sequence_tutor.distributed.config_file import parse_config
from sequence_tutor.rewards.compile import build_reward

GROUP: Any = typer.main.get_command(cli.app)
BLOCKS = [block for page in PAGES for block in blocks_of(page)]

# Blocks that no program reads, by page and how they begin, and what they are.
SHOWN = {
    ("README.md", "pi*(sequence)"): "a formula",
    ("README.md", "corpus"): "a picture",
    ("README.md", "RUN/"): "a folder; tests/integration/test_cli.py has its files",
    ("README.md", "policies/"): "folders",
    ("README.md", "sequence-tutor init     [CONFIG"): "a synopsis; test_docs_names.py checks it",
    ("docs/cluster.md", "waiting for room"): "what a command prints",
    ("docs/commands.md", "RUN/logs"): "files",
    ("docs/config.md", "log c"): "a formula",
    ("docs/how-it-works.md", "E_pi"): "a formula",
    ("docs/how-it-works.md", "pi*"): "a formula",
    ("docs/how-it-works.md", "log pi*"): "a formula",
    ("docs/jobs.md", "my-job/"): "a folder",
    ("docs/metrics.md", "412 s"): "what a command prints",
    ("docs/metrics.md", "histogram_quantile"): "PromQL; Prometheus isn't installed",
    ("docs/programs.md", "# weights.txt"): "a file; test_docs_programs.py uses it",
    ("docs/results/house.md", "actor"): "a listing of another version",
    ("docs/results/house.md", "algorithm"): "a listing of another version",
    ("docs/rewards.md", "1 - ln"): "a formula",
    ("docs/search.md", "from policy"): "what a command prints",
    ("docs/series.md", "pi*"): "a formula",
    ("docs/tutorials/assay.md", "compound,"): "a file; test_docs_commands.py has it",
    ("docs/tutorials/assay.md", "200 compounds"): "what a command prints; likewise",
    ("docs/tutorials/assay.md", "warm start"): "what a command prints",
    ("docs/tutorials/first-result.md", "        "): "what a command prints",
    ("docs/tutorials/own-reward.md", "# few.smi"): "a file; test_docs_commands.py uses it",
}
# Programs whose arguments aren't parsed, and why.
UNPARSED = {
    "prometheus": "not installed",
    "cd": "of the shell",
    "export": "of the shell",
    "source": "of the shell",
    "head": "of the system",
    "mkdir": "of the system",
    "git": "of the system",
    "tar": "of the system",
    "unzip": "of the system",
    "python3.11": "makes an environment for another program",
    ".ci/run": "runs these tests",
    "mkdocs": "test_site.py runs it",
}
# Components of examples that need a file, a program or a server of the reader's.
OF_THE_READER = {"python", "process", "rest", "model", "docking", "gsk3b", "preference"}


def is_shown(block: Block) -> bool:
    return any(page == block.page and block.text.startswith(b) for page, b in SHOWN)


def is_indented_toml(block: Block) -> bool:
    return not block.language and re.match(r"\[[\w.]+\]\n", block.text) is not None


def is_indented_python(block: Block) -> bool:
    return not block.language and re.match(r"(import|from) |\w+ = ", block.text) is not None


def kinds(block: Block) -> list[str]:
    """What a block may be; it must be one thing."""
    if is_shown(block):
        return ["shown"]
    found = {
        "shell": block.is_shell or block.text.startswith("pip download"),
        "toml": block.language == "toml" or is_indented_toml(block),
        "python": block.language in ("python", "py") or is_indented_python(block),
        "yaml": block.language == "yaml",
    }
    return [kind for kind, yes in found.items() if yes]


SHELL = [block for block in BLOCKS if kinds(block) == ["shell"]]
TOML = [block for block in BLOCKS if kinds(block) == ["toml"]]


def test_every_block_is_of_a_kind_that_is_checked():
    assert [str(block) for block in BLOCKS if len(kinds(block)) != 1] == []


def test_what_is_listed_as_shown_is_there():
    shown = {(page, b) for page, b in SHOWN if any(is_shown(k) and k.page == page for k in BLOCKS)}
    assert shown == set(SHOWN)


def parse(words: list[str]) -> None:
    """Parse a command by its program's own parser. Raises an exception for a mistake."""
    name, *rest = words
    if name == "sequence-tutor":
        with contextless(GROUP, rest):
            pass
    elif name == "ray":
        parse_ray(rest)
    elif name == "pip":
        create_command(rest[0]).parse_args(rest[1:])
        for target in (word for word in rest[1:] if re.search(r"\[\w+\]", word)):
            assert set(re.findall(r"\[(\w+)\]", target)) <= extras(), target
    elif name in ("python", "python3", "pytest"):
        parse_python(name, rest)
    else:
        assert name in UNPARSED, f"{name}: name it in UNPARSED, or parse it"


def contextless(group: Any, words: list[str]) -> Any:
    """The context of a command of a group, which isn't run."""
    if words and words[0].startswith("--"):  # such as --install-completion
        assert words[0] in {o for p in group.params for o in p.opts}, words
        return nullcontext()
    command = group.commands[words[0]]
    if hasattr(command, "commands"):
        return contextless(command, words[1:])
    return command.make_context(words[0], list(words[1:]))


def parse_ray(words: list[str]) -> None:
    ours = words.index("--") if "--" in words else len(words)
    with contextless(ray_cli, words):
        pass
    entry = words[ours + 1 :]
    if entry[:1] == ["sequence-tutor"] and "..." not in entry:
        parse(entry)
    for word in words:
        if word.startswith("cluster/"):
            assert (ROOT / word).is_file(), word


def parse_python(name: str, words: list[str]) -> None:
    """Files exist, and a program's options are in its text."""
    if words[:2] == ["-m", "venv"] or name == "pytest" or not words:
        return
    if words[:2] == ["-m", "pip"]:
        parse(words[1:])
        return
    program = (ROOT / words[0]).read_text(encoding="utf-8")
    for word in words[1:]:
        if word.startswith("--"):
            assert option_of(words[0], program, word), f"{words[0]} has no {word}"


def option_of(path: str, program: str, option: str) -> bool:
    """Whether a program or one that it imports beside it names the option."""
    beside = (ROOT / path).parent
    names = re.findall(r"^(?:from|import) (\w+)", program, re.MULTILINE)
    texts = [f.read_text() for n in names if (f := beside / f"{n}.py").is_file()]
    return any(f'"{option}"' in text for text in [program, *texts])


def extras() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return set(project["optional-dependencies"])


@pytest.mark.parametrize("page", sorted({b.page for b in SHELL}))
def test_the_commands_of_a_page_are_parsed(page: str):
    for block in SHELL:
        if block.page == page:
            for words in commands_of(block):
                try:
                    parse(words)
                except Exception as error:  # typer brings its own click, with its own errors
                    raise AssertionError(f"{block}: {shlex.join(words)}: {error!r}") from error


@pytest.mark.parametrize(
    "words",
    [
        ["sequence-tutor", "sample", "x", "--seeds", "1"],
        ["sequence-tutor", "compare"],
        ["ray", "job", "submits"],
        ["ray", "job", "submit", "--", "sequence-tutor", "optimize"],
        ["pip", "install", "--not-an-option"],
        ["pip", "install", "sequence-tutor[modells]"],
        ["python", "benchmarks/kl.py", "--rewardz", "qed"],
        ["python", "benchmarks/none.py"],
        ["frobnicate"],
    ],
    ids=" ".join,
)
def test_control_a_wrong_command_is_found(words: list[str]):
    with pytest.raises((Exception, SystemExit)):  # noqa: B017 - of four parsers
        parse(words)


@pytest.mark.parametrize("block", TOML, ids=str)
def test_a_config_of_a_page_loads(block: Block):
    """As it stands, or with a component where it has none."""
    check_toml(block.text)


def check_toml(text: str) -> None:
    data = tomllib.loads(text)
    if "project" in data:  # of a pyproject.toml
        assert all("sequence_tutor." in name for name in data["project"]["entry-points"])
        return
    for one in (data, *data.get("stage", [])):  # a fragment says what it is about
        assert one
    tables = data.get("reward", {})
    if not isinstance(tables, dict) or "component" not in tables:
        names = {name for stage in data.get("stage", []) for name in stage.get("components", [])}
        tables["component"] = [example(name) for name in sorted(names or {"qed"})]
        data["reward"] = tables
    learner = data.get("learner", {})
    if learner.get("kl") is not None:
        assert "temperature" not in learner or learner["temperature"] == "auto"
    run = parse_config(data)
    known = [c for c in run.reward.component if c.name not in OF_THE_READER]
    if len(known) == len(run.reward.component):
        build_reward(run.reward, domain(data))


def domain(data: dict[str, Any]) -> str:
    rules = {"music_theory", "human_range"}
    names = {one["name"] for one in data["reward"]["component"]}
    return "melodies" if names & rules or data.get("encoding") == "melody" else "molecules"


def example(name: str) -> dict[str, Any]:
    """A component with the options that it must have."""
    options: dict[str, Any] = {
        "similarity": {"smiles": "CCO"},
        "alerts": {"catalogues": ["PAINS"], "role": "filter"},
    }
    return {"name": name, **options.get(name, {})}


@pytest.mark.parametrize(
    "text", ["[learner]\ntemprature = 1", "[[reward.component]]\nname = 'quality'", "[reward"]
)
def test_control_a_wrong_config_is_found(text: str):
    with pytest.raises(ValueError):
        check_toml(text)


@pytest.mark.parametrize("block", [b for b in BLOCKS if kinds(b) == ["yaml"]], ids=str)
def test_yaml_of_a_page_is_read(block: Block):
    assert yaml.safe_load(block.text)


# test_docs_programs.py runs the programs of docs/programs.md. Those of docs/models.md need a model
# of the reader's, and AiZynthFinder, which can't be installed beside Sequence Tutor.
@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "py"], ids=str)
def test_python_that_needs_more_than_the_page_compiles(block: Block):
    compile(block.text, block.page, "exec")


def test_control_blocks_are_found():
    text = "a:\n\n    sequence-tutor init\n\n```toml\nx = 1\n```\n- an item\n    no code\n"
    assert [(b.line, b.language, b.text) for b in blocks(text)] == [
        (3, "", "sequence-tutor init"),
        (6, "toml", "x = 1"),
    ]
    shell = "    A=1 .venv/bin/pip x -y \\\n        z  # why\n\n    cd a && b\n\n    c"
    assert commands_of(blocks(shell)[0]) == [["pip", "x", "-y", "z"], ["cd", "a"], ["b"], ["c"]]

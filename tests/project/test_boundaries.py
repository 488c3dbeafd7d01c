"""Imports follow the contracts in pyproject.toml, and a process loads only what it needs."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = """
import importlib, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ImportError("blocked: " + name)

blocked, modules = {blocked!r}, {modules!r}
sys.meta_path.insert(0, Block())
for module in modules:
    importlib.import_module(module)
"""


def lint(directory: Path) -> subprocess.CompletedProcess[str]:
    """The contracts of pyproject.toml, checked on the rooms in a directory."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    code = {"PYTHONPATH": str(directory)} if directory != ROOT else {}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=directory, env=os.environ | code
    )


def test_rooms_import_what_their_contracts_allow():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout


def test_control_a_hidden_import_upward_is_found(tmp_path: Path):
    package = tmp_path / "sequence_tutor"
    for room in ("distributed", "policies", "rewards"):
        shutil.copytree(ROOT / room, package / room, ignore=shutil.ignore_patterns("priors"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (package / "distributed" / "replay" / "rate.py").open("a") as file:
        file.write("\ndef f():\n    from sequence_tutor.distributed import training\n")
    done = lint(tmp_path)
    assert (
        done.returncode == 1 and "replay.rate -> sequence_tutor.distributed.training" in done.stdout
    )


def modules_of(folder: str, *, but: tuple[str, ...] = ()) -> list[str]:
    files = (p for p in (ROOT / folder).rglob("*.py") if p.stem not in (*but, "__main__"))
    parts = [p.relative_to(ROOT).with_suffix("").parts for p in sorted(files)]
    return [".".join(("sequence_tutor", *p)).removesuffix(".__init__") for p in parts]


def import_with_blocked(
    blocked: set[str], modules: list[str], cwd: Path
) -> subprocess.CompletedProcess[str]:
    code = BLOCK.format(blocked=blocked, modules=modules)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=cwd)


@pytest.mark.parametrize(
    ("folder", "blocked"),
    [
        ("policies", {"rdkit", "ray"}),
        ("rewards", {"torch", "ray"}),
        # scorers and shards load few modules and start fast
        ("distributed/replay", {"torch", "rdkit"}),
    ],
)
def test_a_room_loads_without_the_others(folder: str, blocked: set[str], tmp_path: Path):
    done = import_with_blocked(blocked, modules_of(folder), tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_scorer_loads_without_torch(tmp_path: Path):
    names = (
        "types",
        "scoring.scorer",
        "config",
        "weight_board",
        "run_directory.checkpoint",
        "ray_cluster.join",
        "replay.respelling",
    )
    modules = [f"sequence_tutor.distributed.{name}" for name in names]
    done = import_with_blocked({"torch"}, modules, tmp_path)
    assert done.returncode == 0, done.stderr


def test_checking_a_config_loads_no_heavy_modules(tmp_path: Path):
    modules = [
        f"sequence_tutor.distributed.{name}"
        for name in ("commands.cli", "config_file", "commands.retries")
    ]
    done = import_with_blocked({"torch", "rdkit", "pandas"}, modules, tmp_path)
    assert done.returncode == 0, done.stderr


def test_control_a_blocked_import_fails(tmp_path: Path):
    done = import_with_blocked({"torch"}, ["sequence_tutor.distributed.generating.actor"], tmp_path)
    assert "blocked: torch" in done.stderr


# Words that the engine must not contain, and the exceptions: a default of the config, texts of the
# command line, and keys of another program's configs.
APPLICATIONS = re.compile(r"melod|music|midi|chemi|smiles|molecul|rdkit", re.IGNORECASE)
ALLOWED = {
    "config.py": ["smiles"],
    "commands/cli.py": [
        "Decorate this SMILES at its points, such as \\[*:1].",
        "Directory for pictures; of melodies MIDI, WAV, MusicXML.",
        "Key of rendered melodies: D, Bb, F#m; C if not given.",
        "Link two SMILES: give it twice.",
        "Melody, or file of one, whose gaps (_) are filled.",
        "Melody, or file of one, whose rhythm and contour are kept.",
        "Melody, or file of one, whose rhythm is kept.",
        "Of a file: smiles, selfies or melody; by default what it looks like.",
        "Of rendered melodies, General MIDI's 0 to 127; 0, a piano.",
        "Of rendered melodies, quarter notes a minute; 120.",
        "smiles",
    ],
    "commands/cli_pretrain.py": [
        "Longest sequence in tokens; 100 for smiles, 32 for melody.",
        "Of melodies: 4/4, 3/4, 6/8 ...; pieces in others are skipped.",
        "Of melodies: auto estimates it in MIDI that doesn't tell it; none.",
        "Of melodies: name or number of the part that has them.",
        "Of melodies: steps per quarter note; 12 holds triplets too.",
        "Of melodies: their length, for --max-length.",
        "Text, CSV, Excel, SD or Parquet file; melodies: folder, zip or file of music.",
        "smiles",
        "smiles, selfies or melody.",
    ],
    "commands/cli_records.py": ["molecules or melodies, or smiles, selfies, melody."],
    # its first question
    "commands/init.py": [
        "What do you want to make: molecules or melodies?",
        *["melodies", "melody", "melody", "molecules", "molecules", "smiles", "smiles"],
    ],
    # a library of the page
    "report/page/page.py": ["smiles-drawer.min.js"],
    # a key of [generate]
    "search_config.py": [*["smiles"] * 4, "smiles needs a lead"],
    # names of REINVENT4, which is about molecules alone
    "reinvent/run.py": [
        "parameters.smiles_file = ",
        "penalizesamesmiles",
        "randomize_smiles",
        "randomize_smiles",
        "randomize_smiles: replay.rewrite, by default half of what is learned from",
        "same_molecule",
        "same_molecule",
        "smiles_file",
        "smiles_file",
        "smiles_file",
        "smiles_file",
        "smiles_file",
    ],
}


def mentions(source: str) -> list[str]:
    """Names and texts in a source that mention an application; docstrings and comments may."""
    tree = ast.parse(source)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    nodes = (node for node in ast.walk(tree) if id(node) not in prose)
    texts = (value for node in nodes for _, value in ast.iter_fields(node))
    return sorted(t for t in texts if isinstance(t, str) and APPLICATIONS.search(t))


def test_the_engine_mentions_no_application():
    room = ROOT / "distributed"
    found = {str(p.relative_to(room)): mentions(p.read_text()) for p in room.rglob("*.py")}
    assert {name: texts for name, texts in found.items() if texts} == ALLOWED


def test_control_a_mention_is_found():
    source = '''
"""Of melodies, for people."""
from sequence_tutor.policies.encodings.melody import x
def render_midi(smiles: str, *, molecule=1):
    """Writes MIDI."""  # music
    return domain.music if f"a {name} of chemistry" else render(rdkit=1, kind="Melody")
'''
    assert mentions(source) == sorted(
        ["Melody", " of chemistry", "molecule", "music", "rdkit", "render_midi", "smiles"]
        + ["sequence_tutor.policies.encodings.melody"]
    )

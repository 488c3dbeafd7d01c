"""`sequence-tutor components`."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import pytest
from rich.console import Console

from sequence_tutor.distributed.commands.components import print_components
from sequence_tutor.rewards.registry import components
from sequence_tutor.rewards.transforms import TRANSFORMS


def printed(name: str | None, domain: str = "molecules", width: int = 200) -> str:
    out = io.StringIO()
    print_components(name, domain, Console(file=out, width=width, markup=False))
    return out.getvalue()


@pytest.mark.parametrize("width", [60, 200])
def test_all_names_are_listed(width: int) -> None:
    words = set(re.split(r"\s+", printed(None, width=width)))
    assert words >= {*components("molecules"), *TRANSFORMS}
    assert "nothing" not in words


def test_the_options_of_one_are_explained() -> None:
    text = printed("similarity")
    assert "option radius = 2: bonds around each atom" in text
    assert 'example: { name = "similarity", smiles = ' in text and "range: 0 to 1" in text
    assert "tversky" in text and "absent" not in text
    assert "option steepness = 10.0" in printed("sigmoid")


def test_components_of_melodies_are_listed_too() -> None:
    words = set(printed(None, "melodies").split())
    assert words >= set(components("melodies")) and "similarity" not in words


@pytest.mark.parametrize(
    ("name", "domain", "words"),
    [
        ("simlarity", "molecules", "did you mean 'similarity'"),
        (None, "molecule", "did you mean 'molecules'"),
    ],
)
def test_an_unknown_name_is_one_sentence(name: str | None, domain: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        printed(name, domain)


def test_the_command_needs_neither_torch_nor_ray() -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['ray'] = None\n"
        "from sequence_tutor.distributed.commands import cli\n"
        "sys.argv = ['sequence-tutor', 'components', 'qed']\n"
        "cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "Drug-likeness" in done.stdout, done.stderr

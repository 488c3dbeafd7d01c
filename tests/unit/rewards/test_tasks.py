"""The tasks of PMO and GuacaMol against the values of the packages that define them."""

from __future__ import annotations

import csv
import gzip
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sequence_tutor.rewards.base import Status
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.molecules.identity import identify
from sequence_tutor.rewards.molecules.molecule import Molecule, parse
from sequence_tutor.rewards.molecules.tasks import GUACAMOL, PMO, TASKS
from sequence_tutor.rewards.molecules.tasks.activity import FOLDER
from sequence_tutor.rewards.molecules.tasks.drugs import DRUGS, drug
from sequence_tutor.rewards.registry import components

REFERENCE = Path(__file__).resolve().parents[4] / "shared" / "data" / "pmo_reference.csv.gz"
ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
WITH_MODELS = ("drd2", "gsk3b", "jnk3")


@cache
def reference() -> list[dict[str, str]]:
    if not REFERENCE.exists() and not os.environ.get("CI"):
        pytest.skip("shared/data/pmo_reference.csv.gz is missing")
    with gzip.open(REFERENCE, "rt") as file:
        return list(csv.DictReader(file))


def scored(sequences: list[str], *names: str, **section: Any) -> Any:
    parts = [{"name": name} for name in names]
    return build_reward(RewardConfig.model_validate({"component": parts, **section})).score(
        sequences
    )


def test_there_are_23_tasks_of_pmo_and_20_of_guacamol() -> None:
    assert (len(TASKS), len(PMO), len(GUACAMOL)) == (25, 23, 20)
    assert set(PMO) | set(GUACAMOL) == set(TASKS) == set(reference()[0]) - {"smiles"}


@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_task_gives_the_values_of_its_package(name: str) -> None:
    if name in WITH_MODELS and not os.environ.get(FOLDER):
        pytest.skip(f"{FOLDER} doesn't name the folder with TDC's models, see docs/tasks.md")
    rows = reference()
    found = np.array([TASKS[name](row["smiles"]) for row in rows])
    np.testing.assert_allclose(found, [float(row[name]) for row in rows], rtol=0, atol=1e-9)
    assert 0.0 <= found.min() and found.max() <= 1.0
    assert len(set(found)) > 1  # control: not all are the same


def test_an_invalid_smiles_scores_0() -> None:
    for text in ("", "C1", "c1cccc1", "C C"):
        assert identify(text).mol is None
        assert {TASKS[name](text) for name in TASKS} == {0.0}


@pytest.mark.parametrize(
    ("name", "best"),
    [
        ("celecoxib_rediscovery", "celecoxib"),
        ("troglitazone_rediscovery", "troglitazone"),
        ("thiothixene_rediscovery", "thiothixene"),
        ("aripiprazole_similarity", "aripiprazole"),
        ("albuterol_similarity", "albuterol"),
        ("mestranol_similarity", "mestranol"),
    ],
)
def test_a_drug_is_the_best_answer_to_its_task(name: str, best: str) -> None:
    assert TASKS[name](DRUGS[best]) == pytest.approx(1.0, abs=1e-12)
    assert TASKS[name](ASPIRIN) < 0.5


def test_formulas_count_all_hydrogen_atoms() -> None:
    assert TASKS["isomers_c11h24"]("CCCCCCCCCCC") == 1.0
    assert TASKS["isomers_c11h24"]("[2H]CCCCCCCCCCC") == 1.0  # an isotope counts as the element
    # two hydrogen atoms less: exp(-2²/2) for hydrogen, exp(-1²/2) for all atoms, 1 for carbon
    assert TASKS["isomers_c11h24"]("C=CCCCCCCCCC") == pytest.approx(np.exp(-2.5 / 3))


def test_tasks_are_components_that_can_be_combined() -> None:
    smiles = [ASPIRIN, DRUGS["zaleplon"], "C1"]
    scores = scored(smiles, "zaleplon_mpo", "qed", aggregate="geometric_mean")
    expected = [np.sqrt(TASKS["zaleplon_mpo"](s) * TASKS["qed"](s)) for s in smiles]
    np.testing.assert_allclose(scores.rewards, expected, atol=1e-12)
    assert list(scores.status) == [Status.OK, Status.OK, Status.INVALID]
    assert scores.rewards[2] == 0.0  # bounded, so an invalid sequence is worth the least


@pytest.mark.parametrize("name", sorted(set(TASKS) - set(WITH_MODELS)))
def test_a_component_gives_what_tasks_gives(name: str) -> None:
    found = components("molecules")[name]
    assert found.bounded
    for smiles in (ASPIRIN, DRUGS["osimertinib"], DRUGS["hop"]):
        mol = parse(smiles)
        assert mol is not None
        assert found.function(Molecule(smiles, mol)) == TASKS[name](smiles)


def test_every_drug_can_be_read_and_importing_reads_none() -> None:
    assert all(drug(name).mol.GetNumAtoms() > 9 for name in DRUGS)
    code = (
        "from sequence_tutor.rewards.molecules import components\n"
        "from sequence_tutor.rewards.molecules.tasks.drugs import drug\n"
        "import sys\n"
        "assert drug.cache_info().currsize == 0\n"
        "slow = {'Pharm2D', 'model_file'}\n"
        "assert not [m for m in sys.modules if m.rsplit('.')[-1] in slow]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

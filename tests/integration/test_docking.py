"""Docking in real processes, and the poses of a scored file."""

from __future__ import annotations

import csv
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from rdkit import Chem
from rich.console import Console

from sequence_tutor.distributed.commands.score_file import score_file
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.rewards.attachments import stored_path
from sequence_tutor.rewards.base import Status
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.isolation.reward import IsolatedReward
from sequence_tutor.rewards.molecules.docking.receptor import PACKAGES

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in PACKAGES), reason="the extra docking isn't installed"
)
RECEPTOR = Path(__file__).parents[1] / "unit" / "rewards" / "docking_receptor" / "kit.pdbqt"
DOCKING: dict[str, Any] = {
    "name": "docking",
    "receptor": str(RECEPTOR),
    "center": [35.5, -0.5, -27.0],
    "size": [12.0, 12.0, 12.0],
    "exhaustiveness": 1,
}
# Vina needs minutes for it.
LONG = "C" * 32


def test_what_hangs_in_vina_is_killed_and_the_others_are_scored() -> None:
    config = RewardConfig.model_validate({"component": [DOCKING], "timeout_s": 4})
    with IsolatedReward(config, "molecules") as reward:
        scores = reward.score(["CO", LONG, "CCO", "CO.O"])
    assert scores.status.tolist() == [Status.OK, Status.TIMEOUT, Status.OK, Status.FAILED]
    assert scores.errors[1] == "took longer than timeout_s = 4"
    assert scores.files is not None
    assert [len(kept) for kept in scores.files] == [1, 0, 1, 0]
    assert b"docked_form" in scores.files[2][0].content


def test_vinas_words_on_a_receptor_end_the_building_of_a_reward(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pdbqt"
    wrong.write_text(RECEPTOR.read_text().replace(" OA\n", " Xx\n"))
    part = {**DOCKING, "receptor": str(wrong)}
    with pytest.raises(ValueError, match="component 'docking': Vina can't use .* Atom type Xx is"):
        IsolatedReward(RewardConfig.model_validate({"component": [part]}), "molecules")


def test_a_scored_file_has_the_poses_of_its_molecules(
    make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Console
) -> None:
    file, out = tmp_path / "file.smi", tmp_path / "scored"
    file.write_text("OCC first\nC( second\nCC.O third\nCCO fourth\n")
    run = make_run(reward={"component": [{**DOCKING, "label": "kit"}]})
    score_file(run, file, out, None, False, quiet, local=True)
    rows = list(csv.DictReader((tmp_path / "scored.csv").open(newline="")))
    assert [row["status"] for row in rows] == ["ok", "invalid", "failed", "ok"]
    [pose] = (tmp_path / "scored.record" / "poses").iterdir()
    assert pose == tmp_path / "scored.record" / stored_path("CCO", "poses", ".sdf", "kit")
    [mol] = Chem.SDMolSupplier(str(pose))
    assert mol.GetProp("_Name") == rows[0]["key"] == rows[3]["key"]
    assert float(mol.GetProp("score_kcal_per_mol")) == float(rows[3]["raw.kit"])

"""Keys, respelling and metrics of molecules."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from sequence_tutor.rewards.base import Domain
from sequence_tutor.rewards.molecules.domain import MoleculeDomain

DOMAIN: Domain = MoleculeDomain()
CHIRAL = "C[C@@H]1CC(Nc2cncc(-c3nncn3C)c2)C[C@@H](C)C1"


@pytest.mark.parametrize("smiles", ["CCO", CHIRAL, "C/C=C/C(=O)[O-]", "[Na+].CCC(=O)[O-]"])
def test_rewriting_keeps_the_key(smiles: str) -> None:
    random = np.random.default_rng(1)
    rewritten = {DOMAIN.rewrite(smiles, random) for _ in range(20)}
    assert len(rewritten) > 1
    assert {DOMAIN.key(s) for s in rewritten if s is not None} == {DOMAIN.key(smiles)}


def test_key_distinguishes_molecules() -> None:
    assert DOMAIN.key("OCC") == DOMAIN.key("C(O)C") == "CCO"
    assert DOMAIN.key(CHIRAL) != DOMAIN.key(CHIRAL.replace("@@", "@", 1))
    assert [DOMAIN.key(s) for s in ("", " ", "C1", "CC junk", "c1cccc1")] == [None] * 5


def test_rewrite_is_fixed_by_the_generator() -> None:
    def spell(seed: int) -> list[str | None]:
        random = np.random.default_rng(seed)
        return [DOMAIN.rewrite(CHIRAL, random) for _ in range(5)]

    assert spell(7) == spell(7) != spell(8)
    assert DOMAIN.rewrite("C1", np.random.default_rng(0)) is None


def test_metrics_by_hand() -> None:
    numbers = DOMAIN.metrics(["CCO", "OCC", "c1ccccc1", "C1"], training={"CCO"})
    assert numbers["valid"] == 0.75
    assert numbers["distinct"] == pytest.approx(2 / 3)
    assert numbers["novel"] == 0.5
    assert numbers["mean_length"] == pytest.approx((3 + 3 + 8 + 2) / 4)
    assert numbers["internal_diversity"] == 1.0  # ethanol and benzene share no environment
    weight = (2 * 46.069 + 78.114) / 3
    assert numbers["mean_molecular_weight"] == pytest.approx(weight, abs=1e-2)
    assert all(type(v) is float for v in numbers.values())


def test_metrics_of_nothing_keep_their_names() -> None:
    nothing, something = DOMAIN.metrics([]), DOMAIN.metrics(["CC", "CCC"])
    assert nothing.keys() == something.keys() and "novel" not in nothing
    assert math.isnan(nothing["valid"]) and math.isnan(nothing["mean_qed"])


def test_valid_molecules_are_drawn_in_one_picture(tmp_path: Path) -> None:
    said = DOMAIN.render(["CCO", "C1", CHIRAL], tmp_path / "new")
    picture = tmp_path / "new" / "molecules.svg"
    assert said == f"2 molecules are drawn in {picture}"
    assert "<svg" in picture.read_text(encoding="iso-8859-1")
    assert "no valid molecule" in DOMAIN.render(["C1"], tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_machine_without_graphics_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rdkit.Chem

    monkeypatch.delattr(rdkit.Chem, "Draw", raising=False)
    monkeypatch.setitem(sys.modules, "rdkit.Chem.Draw", None)
    assert "can't be drawn on this machine" in DOMAIN.render(["CCO"], tmp_path)
    assert not list(tmp_path.iterdir())

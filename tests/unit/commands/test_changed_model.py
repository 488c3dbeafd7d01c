"""A model of the same name with another content is another reward for `score` and `optimize`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx_files import linear_onnx
from rich.console import Console

from sequence_tutor.distributed.commands.score_file import score_file
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError, parse_config
from sequence_tutor.distributed.run_directory.resume import check_directory


def run_of(file: str) -> RunConfig:
    part = {"name": "model", "file": file, "features": {"type": "morgan", "bits": 64}}
    return parse_config({"reward": {"component": [part]}, "stop": {"scores": 9}})


def test_another_model_of_the_same_name_is_another_reward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither `score` nor a run goes on with a file that has changed."""
    quiet = Console(quiet=True)
    monkeypatch.chdir(tmp_path)
    Path("m.onnx").write_bytes(linear_onnx(np.arange(64.0)))
    Path("in.smi").write_text("CCO\nc1ccccc1\n")
    run = run_of("m.onnx")
    score_file(run, Path("in.smi"), Path("out.csv"), None, False, quiet, local=True)
    written = next(Path().glob("**/config.toml"))
    assert "sha256 = " in written.read_text()
    out = Path("run")
    out.mkdir()
    (out / "config.toml").write_text(written.read_text())
    check_directory(run.with_pins(), out, resume=True)
    Path("m.onnx").write_bytes(linear_onnx(np.ones(64)))
    Path("out.csv").unlink()
    Path("out.parquet").unlink()
    with pytest.raises(ConfigError, match="was scored with another"):
        score_file(run, Path("in.smi"), Path("out.csv"), None, True, quiet, local=True)
    with pytest.raises(ConfigError, match=r"another reward.component\[0\].sha256 \(was '") as error:
        check_directory(run.with_pins(), out, resume=True)
    assert "\n" not in str(error.value)

"""Config files in any Unicode encoding, and names outside ASCII."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
import ray

from sequence_tutor.distributed.config_file import ConfigError, load_config
from sequence_tutor.distributed.metrics.prometheus import Exporter
from sequence_tutor.distributed.metrics.prometheus_series import Series
from sequence_tutor.distributed.run_directory.resume import config_of

TEXT = (
    '# größe\r\nseed = 3\r\n[reward]\r\n[[reward.component]]\r\nname = "qed"\r\nlabel = "güte"\r\n'
)


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        TEXT.encode("utf-16"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
        codecs.BOM_UTF32_BE + TEXT.encode("utf-32-be"),
    ],
    ids=["utf-8", "utf-8 with mark", "utf-16", "utf-16-be", "utf-32", "utf-32-be"],
)
def test_a_config_in_any_unicode_is_read(tmp_path: Path, content: bytes):
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    for run in (load_config(path), load_config(str(path)), config_of(tmp_path)):
        assert run.seed == 3 and run.reward.component[0].label == "güte"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (TEXT.encode("latin-1"), "line 1 isn't"),
        (b"seed = 1\n# \xff\n", "line 2 isn't"),
        (TEXT.encode("utf-16-le"), "save it as UTF-8"),
        (codecs.BOM_UTF16_LE + b"a", "save it as UTF-8"),
        (b"\x1f\x8b\x08\x00", "save it as UTF-8"),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (b"a = 1\nb = \n", "line 2"),
        (b"\xef\xbb\xbf\xef\xbb\xbfa = 1\n", "not valid TOML"),
    ],
)
def test_an_unreadable_config_is_one_sentence(tmp_path: Path, content: bytes, said: str):
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert said in str(error.value) and "\n" not in str(error.value)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize("name", ["größe", "日本", "a\nb", "", "x\udcff", 'a="b"\\,{}'])
def test_a_run_of_any_name_is_exported(local_ray: None, name: str):
    exporter = Exporter([Series("a", "counter", "a"), Series("b", "gauge", "b", "c")], name, "id")
    exporter.put({("a", ""): 1.0, ("b", "x"): 2.0})
    assert not exporter._broken
    assert exporter._labels["run"].isascii() and exporter._labels["run"]


def test_control_ray_rejects_a_label_outside_ascii(local_ray: None):
    exporter = Exporter([Series("d", "gauge", "d")], "plain", "id")
    exporter._labels["run"] = "größe"
    exporter.put({("d", ""): 1.0})
    assert exporter._broken


def test_an_ascii_name_is_exported_unchanged(local_ray: None):
    assert ray.is_initialized()
    assert Exporter([], "my run (2).b%", "id")._labels["run"] == "my run (2).b%"

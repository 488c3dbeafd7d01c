"""The page about a run in a real browser."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from pages import put_on_record, scored_rows
from rdkit import Chem
from rich.console import Console

from sequence_tutor.distributed.commands.report import compare_runs, write_report
from sequence_tutor.distributed.commands.watch import server_of, url_of
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.rewards.base import Status
from sequence_tutor.rewards.domains import domain_named

VALID, INVALID, FAILED = 900, 60, 40
HOSTILE = (
    "<script>window.hacked = 1</script>",
    "</script><img src=x onerror='window.hacked = 2'>",
    '"><svg onload="window.hacked = 3">',
    "javascript:window.hacked=4",
    "{{DATA}} \N{GRINNING FACE} \N{SKULL}\u202e",
    "'\"`${window.hacked = 5}`",
)


def molecules(n: int) -> list[str]:
    """n different canonical molecules, with some scaffolds and without."""
    rings = ("", "c1ccccc1", "c1ccncc1", "C1CCCCC1", "c1ccc2ccccc2c1", "c1ccsc1")
    found: dict[str, None] = {}
    size = 1
    while len(found) < n:
        for ring in rings:
            for end in ("O", "N", "F", "Cl", "C(=O)O", "S"):
                found[Chem.CanonSmiles(ring + "C" * size + end)] = None
        size += 1
    return list(found)[:n]


@pytest.fixture(scope="module")
def run(make_run: Callable[..., RunConfig]) -> RunConfig:
    return make_run(reward={"component": [{"name": "qed"}, {"name": "heavy_atoms", "weight": 0.5}]})


@pytest.fixture(scope="module")
def recorded(run: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with valid, invalid and failed rows."""
    texts = molecules(VALID) + [f"C1CC(broken {n}" for n in range(INVALID)]
    texts += [f"N{'C' * n}S" for n in range(2, FAILED + 2)]
    random = np.random.default_rng(0)
    status = [Status.OK] * VALID + [Status.INVALID] * INVALID + [Status.TIMEOUT] * FAILED
    rewards = np.concatenate([random.random(VALID), np.zeros(INVALID), np.full(FAILED, np.nan)])
    errors = [""] * VALID + ["SMILES syntax error"] * INVALID
    errors += [f"took longer than timeout_s = {n}" for n in range(FAILED)]
    raw = {"qed": rewards.copy(), "heavy_atoms": np.arange(len(texts)) * 1.0}
    rows = scored_rows(texts, rewards, status, errors, ["policy", "genetic"] * 500, raw)
    order = random.permutation(len(texts))
    rows = rows.select(order)
    rows.scored_at.sort()
    return put_on_record(tmp_path_factory.mktemp("page") / "found <b>it", run, rows)


@pytest.fixture(scope="module")
def page_file(recorded: Path) -> Path:
    return Path(str(write_report(recorded, None, None, Console(quiet=True))))


def wait_until(page: Any, expression: str) -> None:
    """Wait until an expression is true; the page's policy refuses Playwright's own way to wait."""
    until = time.monotonic() + 30
    while not page.evaluate(expression):
        assert time.monotonic() < until, expression
        page.wait_for_timeout(50)


def texts(page: Any, selector: str) -> list[str]:
    found: list[str] = page.locator(selector).all_inner_texts()
    return found


def test_the_page_shows_the_best_with_drawings(page_file: Path, opened: Callable[..., Any]):
    page = opened(page_file)
    assert page.title().startswith("found <b>it")
    cards = page.locator("#gallery article[data-key]")
    assert cards.count() == 12
    page.click("#more")
    assert cards.count() == 24
    for i in range(12):  # atoms and bonds are paths
        assert cards.nth(i).locator("svg path").count() > 3
    rewards = [float(text.split(". ")[1]) for text in texts(page, "#gallery h3")]
    assert rewards == sorted(rewards, reverse=True)
    # beside each its nearest neighbour in the prior's data
    assert cards.first.locator(".nearest").count() in (0, 1)
    said = page.inner_text("#summary")
    assert "ten best" in said and "1,000 molecules" not in said  # invalid ones cost nothing
    assert page.locator("#curve-charts canvas").count() >= 4
    assert "syntax error" in page.inner_text("#failures")
    assert "timeout" in page.inner_text("#failures") and "#" in page.inner_text("#failures")
    assert "qed" in page.inner_text("#components")
    assert 'name = "qed"' in page.inner_text("#config")


def test_the_table_sorts_filters_and_scrolls(page_file: Path, opened: Callable[..., Any]):
    page = opened(page_file)
    table = page.locator("#molecules")
    assert f"{VALID + INVALID + FAILED:,} of 1,000 rows" in page.inner_text("#counts")

    def column(number: int) -> list[float]:
        return [
            float(t.replace(",", ""))
            for t in texts(page, f"#molecules td:nth-child({number})")
            if re.fullmatch(r"[\d.,e-]+", t)
        ]

    rewards = column(4)
    assert len(rewards) > 10 and rewards == sorted(rewards, reverse=True)
    table.get_by_role("button", name="number of the score").click()
    numbers = column(3)
    assert numbers == sorted(numbers, reverse=True)
    page.select_option("#filter-status", "timeout")
    assert f"{FAILED} of" in page.inner_text("#counts")
    page.fill("#search", "timeout_s = 7")
    assert "1 of" in page.inner_text("#counts")
    page.click("#filter-clear")
    page.fill("#filter-reward", "0.5")
    shown = int(page.inner_text("#counts").split(" of")[0].replace(",", ""))
    assert 300 < shown < 600
    page.click("#filter-clear")
    page.evaluate("document.getElementById('table-box').scrollTop = 1e9")
    wait_until(page, "document.querySelector('#molecules tr[aria-rowindex=\"1001\"]')")
    assert page.locator("#molecules tbody tr").count() < 60  # those in sight alone


def test_selected_rows_are_exported(page_file: Path, opened: Callable[..., Any], tmp_path: Path):
    page = opened(page_file)
    page.fill("#filter-reward", "0.9")
    page.click("#select-shown")
    wanted = int(re.search(r"([\d,]+) selected", page.inner_text("#counts"))[1])  # type: ignore[index]
    assert wanted > 50
    with page.expect_download() as download:
        page.click("#export-csv")
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text(encoding="utf-8"))))
    assert len(rows) == wanted and all(float(row["reward"]) >= 0.9 for row in rows)
    with page.expect_download() as download:
        page.click("#export-structures")
    file = tmp_path / "selected.sdf"
    file.write_bytes(download.value.path().read_bytes())
    found = [mol for mol in Chem.SDMolSupplier(str(file)) if mol is not None]
    assert sorted(map(Chem.MolToSmiles, found)) == sorted(row["key"] for row in rows)
    of = {row["key"]: float(row["reward"]) for row in rows}
    assert all(
        abs(float(mol.GetProp("reward")) - of[mol.GetProp("SMILES")]) < 1e-6 for mol in found
    )


def test_points_and_groups_lead_to_molecules(page_file: Path, opened: Callable[..., Any]):
    page = opened(page_file)
    page.select_option("#scatter-y", "raw.heavy_atoms")
    page.select_option("#scatter-colour", "number reward")
    scatter = page.locator("#scatter")
    scatter.scroll_into_view_if_needed()
    box = scatter.bounding_box()
    # heavy_atoms rises by one from row to row, in a random order: the middle is full of points
    for shift in range(0, 200, 10):
        page.mouse.move(box["x"] + box["width"] / 2 + shift, box["y"] + box["height"] / 2)
        if "reward" in page.inner_text("#hover") and "The best" not in page.inner_text("#hover"):
            break
    assert "heavy_atoms" in page.inner_text("#hover")
    assert page.locator("#hover svg").count() == 1
    page.mouse.click(box["x"] + box["width"] / 2 + shift, box["y"] + box["height"] / 2)
    assert page.locator("#details").get_attribute("open") is not None
    assert page.locator("#details").get_attribute("data-key")
    page.keyboard.press("Escape")
    scatter.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert "Score" in page.inner_text("#details-title")
    page.keyboard.press("Escape")
    first = page.locator("#clusters button").first
    count = int(first.inner_text().strip().split()[0].replace(",", ""))
    first.click()
    assert page.locator("#members .card").count() == min(24, count)
    page.get_by_role("button", name="Show all of them in the table").click()
    assert page.inner_text("#counts").startswith(f"{count} of")


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False)])
def test_the_page_is_accessible(
    width: int, dark: bool, page_file: Path, opened: Callable[..., Any]
):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    # axe itself is a script that the page's policy would refuse
    page = opened(page_file, width=width, dark=dark, bypass_csp=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#clusters button").first.click()
    results = axe.Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa"]})
    found = [(v["id"], v["nodes"][0]["html"][:200]) for v in results.response["violations"]]
    assert found == []


def test_nothing_in_a_hostile_record_runs(
    run: RunConfig, tmp_path: Path, opened: Callable[..., Any]
):
    keys = [*HOSTILE, "C" * 10_000, "CCO", "CCN", "CCC"]
    n = len(keys)
    status = [Status.FAILED] * (n - 3) + [Status.OK] * 3
    rewards = np.array([np.nan] * (n - 3) + [0.1, 0.2, 0.3])
    raw = {"qed": np.full(n, np.nan), "<script>window.hacked = 6</script>": np.arange(n) * 1.0}
    errors = [*HOSTILE, "x" * 10_000, "", "", ""]
    sources = ["policy", *HOSTILE, *["policy"] * (n - 1 - len(HOSTILE))]
    rows = scored_rows(keys, rewards, status, errors, sources, raw)
    name = "<img src=x onerror=window.hacked=7>"
    place = put_on_record(tmp_path / name, run, rows)
    page = opened(Path(str(write_report(place, tmp_path / "page.html", None, Console(quiet=True)))))
    assert page.locator("h1").inner_text() == name
    page.select_option("#filter-status", "failed")
    shown = "\n".join(texts(page, "#molecules td"))
    assert all(text in shown for text in HOSTILE[:4])
    for button in page.locator("#molecules td button").all()[:6]:
        button.click()
        page.keyboard.press("Escape")
    page.locator("#failures summary").first.click()
    assert page.evaluate("window.hacked === undefined")
    assert page.locator("#gallery article").count() == 3


def test_melodies_are_seen_and_heard(
    make_run: Callable[..., RunConfig], tmp_path: Path, opened: Callable[..., Any]
):
    import mido

    run = make_run(encoding="melody", prior="lieder", reward={"component": [{"name": "key"}]})
    notes = [
        f"{a}4---{b}4---{c}4---{d}5---" * 2 for a in "CDE" for b in "FG" for c in "AB" for d in "CD"
    ]
    rows = scored_rows(notes, np.linspace(0, 1, len(notes)), raw={"key": np.zeros(len(notes))})
    place = put_on_record(tmp_path / "tunes", run, rows)
    page = opened(Path(str(write_report(place, None, None, Console(quiet=True)))))
    card = page.locator("#gallery article").first
    assert card.get_attribute("data-key") == notes[-1]
    assert card.locator("> .roll g.note").count() == 8  # as the text says
    player = card.locator("audio.player")
    wait_until(page, "document.querySelector('audio.player').readyState >= 1")
    length = player.evaluate("player => player.duration")
    assert 3.9 < length < 5.5  # 32 steps of an eighth of a second, and the end of the last note
    player.evaluate("player => { player.muted = true; return player.play(); }")
    wait_until(page, "document.querySelector('audio.player').currentTime > 0.1")
    with page.expect_download() as download:
        card.get_by_role("link", name="melody.mid").click()
    played = [
        m.note for m in mido.MidiFile(download.value.path()) if m.type == "note_on" and m.velocity
    ]
    assert len(played) == 8
    notes_drawn = card.locator("> .roll svg").nth(1)
    assert notes_drawn.locator("path, use, rect").count() > 8  # engraved


def test_runs_side_by_side(
    recorded: Path, run: RunConfig, tmp_path: Path, opened: Callable[..., Any]
):
    seeds = []
    for seed, mean in ((1, 0.2), (2, 0.4)):
        keys = molecules(60)[20 * (seed - 1) : 20 * (seed - 1) + 40]
        rewards = mean + np.linspace(-0.1, 0.1, 40)
        other = run.model_copy(update={"seed": seed})
        place = put_on_record(tmp_path / f"seed-{seed}", other, scored_rows(keys, rewards))
        seeds.append(place)
    changed = run.model_copy(update={"learner": run.learner.model_copy(update={"batch": 8})})
    place = put_on_record(tmp_path / "other", changed, scored_rows(molecules(5), [0.5] * 5))
    file = tmp_path / "comparison.html"
    text = io.StringIO()
    compare_runs([*seeds, place], file, None, Console(file=text, width=200))
    assert "seed-1, 2 seeds" in text.getvalue()
    page = opened(file)
    said = page.inner_text("#compared-table")
    top = [mean + np.linspace(-0.1, 0.1, 40)[-10:].mean() for mean in (0.2, 0.4)]
    wanted = f"{np.mean(top):.4g} ± {np.std(top, ddof=1):.4g}"
    assert wanted.split(" ")[0] in said and "seed-1 and 1 with other seeds" in said
    assert "learner.batch" in page.inner_text("#compared-configs")
    assert "25 sequences were found" in page.inner_text("#compared-shared")  # 20, and 5 of `other`


def test_watch_serves_the_newest_page(
    run: RunConfig, tmp_path: Path, opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    import threading

    from sequence_tutor.distributed.commands import watch

    monkeypatch.setattr(watch, "LIVE_EVERY_S", 0.2)
    monkeypatch.setattr(watch, "LIVE_SHARE", 10.0)
    monkeypatch.setattr(watch, "ASK_EVERY_S", 0.3)
    place = put_on_record(tmp_path / "live", run, scored_rows(["CCO", "CCN"], [0.1, 0.2]))
    with server_of(place, "127.0.0.1", 0, None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = url_of(server)
        _answer_with(url, b"<main>")
        page = opened(url)
        assert "2 rows on record" in page.inner_text("#made")
        page.select_option("#scatter-x", "reward")
        put_on_record(place, run, scored_rows(["CCS"], [0.9]))
        page.locator("#made", has_text="3 rows").wait_for(timeout=30_000)
        assert page.input_value("#scatter-x") == "reward"  # what was chosen stays
        for header, path, code in (("evil.example", "", 403), ("127.0.0.1", "etc/passwd", 404)):
            with pytest.raises(HTTPError) as error:
                urlopen(Request(url + path, headers={"Host": header}), timeout=10)
            assert error.value.code == code
        page.close()
        server.shutdown()
    empty = put_on_record(tmp_path / "empty <b>", run, scored_rows([], []))
    with server_of(empty, "127.0.0.1", 0, None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _answer_with(url_of(server), b"empty &lt;b&gt; yet")  # says why there is no page
        server.shutdown()
    with server_of(place, "0.0.0.0", 0, None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        with pytest.raises(HTTPError) as error:
            urlopen(f"http://127.0.0.1:{port}/", timeout=10)
        assert error.value.code == 403
        with urlopen(url_of(server).replace("0.0.0.0", "127.0.0.1"), timeout=10) as answer:
            assert answer.status == 200
        server.shutdown()


def _answer_with(url: str, text: bytes) -> None:
    """Wait for an answer that has this text."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with urlopen(url, timeout=10) as answer:
            if text in answer.read():
                return
        time.sleep(0.2)
    raise AssertionError(f"no answer with {text!r}")


def test_a_run_keeps_its_report(command: Callable[..., Any], run: RunConfig, tmp_path: Path):
    from sequence_tutor.distributed.config_file import to_toml

    config, out = tmp_path / "run.toml", tmp_path / "run"
    config.write_text(to_toml(run))
    command("optimize", config, "--local", "--out", out, "--report", "--set", "stop.scores=20")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "20 molecules were scored" in page and "http://" not in page.split("<script>")[0]
    command("report", tmp_path / "nothing").refused("there is no config file")
    command("compare", out).refused("two runs or more")


def test_domain_properties_are_known_values():
    domain = domain_named("molecules")
    found = domain.properties(["CC(=O)Oc1ccccc1C(=O)O", "no molecule"])
    # aspirin: 180.16 g/mol, polar surface 63.6 (PubChem CID 2244), one ring, three rotatable bonds
    assert abs(found["weight, g/mol"][0] - 180.16) < 0.01
    assert abs(found["polar surface (TPSA), Å²"][0] - 63.6) < 0.05
    assert found["rings"][0] == 1 and found["H-bond donors"][0] == 1
    assert all(np.isnan(values[1]) for values in found.values())

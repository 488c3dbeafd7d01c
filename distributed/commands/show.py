"""What `sequence-tutor show` prints: all that is on record of one sequence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from rich.console import Console

from sequence_tutor.distributed.arrow_schema import GROUP
from sequence_tutor.distributed.commands.plain_print import print_plainly
from sequence_tutor.distributed.commands.similar import COMPARED, like_text, similar
from sequence_tutor.distributed.config_file import ConfigError
from sequence_tutor.distributed.population import is_policy
from sequence_tutor.distributed.replay.messages import REPORT, WARM_START
from sequence_tutor.distributed.replay.record.store import RecordError
from sequence_tutor.distributed.run_directory.earlier_runs import (
    RunOnRecord,
    places_of,
    run_on_record,
)
from sequence_tutor.distributed.run_directory.last_metric import last_metric
from sequence_tutor.distributed.run_directory.record_rows import RecordRows, record_rows
from sequence_tutor.distributed.run_directory.resume import config_of
from sequence_tutor.distributed.scoring.scorer import invalid_key
from sequence_tutor.distributed.stages import run_directories
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.rewards.attachments import TAKEN, stored_path
from sequence_tutor.rewards.base import Domain, Status

# How many similar rows are shown, and how many of a key that isn't on record.
SIMILAR, NEAREST = 5, 3
_RAW, _TRANSFORMED = "raw.", "transformed."
# What a source is called that isn't a proposer.
SOURCES = {
    WARM_START: "the warm start, without a new score",
    REPORT: "a sample for a report, beyond the budget",
    "file": "a line of the file",
}


class _Place(NamedTuple):
    """A run, or a stage of one, with its rows."""

    run: RunOnRecord
    """Where it is."""
    rows: RecordRows
    """Its rows."""
    scored_file: bool
    """Whether it is a result of `score`."""


def show(where: str, text: str, console: Console) -> None:
    """Print what the run, or the result of `score`, in `where` has on record of a sequence. text:
    its key, or any spelling of it. Of a run in stages all are searched. Raises ConfigError for
    another `where`, ValueError for a sequence that isn't on record."""
    places = list(_places(Location(where)))
    found = [(place, row) for place in places if (row := _find(place, text)) is not None]
    if not found:
        raise ValueError(_unknown(Location(where), text, places))
    for place, row in found:
        if len(places) > 1:
            print_plainly(console, f"{place.run.where.name}:")
        _print_row(place, row, console)


def _places(where: Location) -> Iterator[_Place]:
    for directory, record in places_of(where):
        if not (directory / "config.toml").is_file():
            continue
        config = config_of(directory)
        for one in run_directories(directory, config):
            run = run_on_record(one, record)
            try:
                rows = record_rows(run.record, run.config.reward.identity())
            except RecordError as error:
                raise ConfigError(str(error)) from error
            yield _Place(run, rows, (run.record / "source.json").is_file())
        return
    raise ConfigError(f"{where} is neither a run nor a result of `score`: it has no config.toml")


def _find(place: _Place, text: str) -> int | None:
    """The row of a sequence, given by its key, by any spelling, or by its text if it's invalid."""
    row_of, domain = place.rows.row_of, place.run.config.domain
    if text in row_of:
        return row_of[text]
    with domain.quiet():
        key = domain.key(text)
    return row_of.get(invalid_key(text) if key is None else key)


def _unknown(where: Location, text: str, places: list[_Place]) -> str:
    rows = sum(len(place.rows) for place in places)
    missing = f"isn't among the {rows:,} sequences on record in {where}"
    said = f"{text} {missing}"
    for place in reversed(places):
        domain = place.run.config.domain
        with domain.quiet():
            found = domain.identify(text)
        if found.key is None:
            said = f"{text} isn't valid ({found.reason or 'no reason is known'}) and {missing}"
            near = like_text(place.rows, text, NEAREST)
        else:
            pairs, _ = similar(place.rows, domain, found.key, NEAREST)
            near = [f"{place.rows.keys[row]} ({alike:.2f})" for row, alike in pairs]
        if near:
            return f"{said}; the nearest are {', '.join(near)}"
    return said


def _print_row(place: _Place, row: int, console: Console) -> None:
    rows, run = place.rows, place.run
    whole = rows.whole(row)
    lines = [("sequence", whole["sequence"])]
    if whole["key"] != whole["sequence"]:
        lines.append(("key", whole["key"]))
    lines += [
        ("status", whole["status"] + (f": {whole['error']}" if whole["error"] else "")),
        ("reward", _number(whole["reward"])),
    ]
    if rows.status[row] == Status.OK:
        lines.append(("rank", f"{rows.rank(row):,} of {len(rows.valid):,} valid rows"))
    lines += _components(whole)
    lines.append(("proposed by", _proposed(whole)))
    when = whole["scored_at"]
    took = "" if whole["source"] == WARM_START else f", in {whole['seconds']:.3g} s"
    lines.append(("scored", f"{when:%Y-%m-%d %H:%M:%S} UTC{took}"))
    for kind, groups in rows.groups.items():
        if (group := whole.get(f"{GROUP}{kind}")) is not None:
            others = groups.count(group) - 1
            lines.append((f"{kind}", f"{group or 'none'}, with {others:,} other rows"))
    lines += [("file", str(file)) for file in _files(run, whole)]
    lines.append(("learned from", _learned(place, whole)))
    for name, value in lines:
        print_plainly(console, f"  {name}: {value}")
    if rows.status[row] == Status.OK:
        _print_similar(rows, row, run.config.domain, console)


def _components(whole: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The raw and the transformed value of each component."""
    names = [name.removeprefix(_RAW) for name in whole if name.startswith(_RAW)]
    found = []
    for name in names:
        raw = _number(whole[f"{_RAW}{name}"])
        transformed = _number(whole.get(f"{_TRANSFORMED}{name}"))
        found.append((f"component {name}", f"raw {raw}, transformed {transformed}"))
    return found


def _proposed(whole: Mapping[str, Any]) -> str:
    source, version = whole["source"], whole["version"]
    text = SOURCES.get(source, source)
    if version is not None and version >= 0:
        text += f", after {version:,} updates"
    return f"{text}, by {whole['actor']}" if whole["actor"] else text


def _learned(place: _Place, whole: Mapping[str, Any]) -> str:
    """Whether the policy could learn from a row. The record doesn't say which rows an update
    drew."""
    if place.scored_file:
        return "no, `score` learns nothing"
    run = place.run.config
    if not run.replay.ratio:
        return "no, this run learns nothing (replay.ratio = 0)"
    rewarded = whole["reward"] is not None and math.isfinite(whole["reward"])
    if not rewarded and whole["status"] != "invalid":
        return "no, it has no reward"
    if not whole["tokens"]:
        return "no, the prior can't write it"
    if whole["source"] == REPORT:
        return "no, it was scored for a report"
    made = last_metric(place.run.where, "updates")
    if made is None:
        return "it could be; the run hasn't said yet how many updates it has made"
    since = made - max(0, whole["version"] or 0)
    if not since:
        return "no, the run has made no update since it was proposed"
    whose = "it was proposed" if is_policy(whole["source"]) else "the run began"
    return (
        f"it could be drawn for the {since:,} updates since {whose}, of {made:,} in all; which "
        "rows an update drew isn't on record"
    )


def _files(run: RunOnRecord, whole: Mapping[str, Any]) -> list[Location]:
    """The files that components have kept for a sequence."""
    base = run.where
    if run.config.replay.record is not None:
        base = run.record / f"_files-{run.config.reward.identity()}"
    elif run.record.name.endswith(".record"):
        base = run.record
    names = [name.removeprefix(_RAW) for name in whole if name.startswith(_RAW)]
    wanted = {stored_path(whole["key"], "x", "", name).removeprefix("x/") for name in names}
    found = []
    for folder in base.names():
        here = base / folder
        if folder in TAKEN or not here.is_dir():
            continue
        found += [here / name for name in here.names() if name.rpartition(".")[0] in wanted]
    return found


def _print_similar(rows: RecordRows, row: int, domain: Domain, console: Console) -> None:
    pairs, compared = similar(rows, domain, rows.keys[row], SIMILAR)
    if not pairs:
        return
    of = f", of the best {compared:,}" if compared >= COMPARED else ""
    print_plainly(console, f"  most similar{of} (similarity, reward):")
    for other, alike in pairs:
        reward = _number(float(rows.rewards[other]))
        print_plainly(console, f"    {alike:.2f}  {reward}  {rows.keys[other]}")


def _number(value: float | None) -> str:
    return "none" if value is None or math.isnan(value) else f"{value:.6g}"

"""A scoring section of REINVENT4 -> the table [reward] of ours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sequence_tutor.rewards.aggregate import OF_0_TO_1
from sequence_tutor.rewards.registry import components
from sequence_tutor.rewards.reinvent.components import FRAGMENTS, KNOWN, OTHERS, Known
from sequence_tutor.rewards.reinvent.notes import ConversionError, Notes, number, plain, table
from sequence_tutor.rewards.reinvent.transforms import NotThereError, transform_of
from sequence_tutor.rewards.transforms import TRANSFORMS, apply

AGGREGATES = {
    "arithmeticmean": "arithmetic_mean",
    "customsum": "arithmetic_mean",
    "geometricmean": "geometric_mean",
    "customproduct": "geometric_mean",
    "summation": "sum",
    "product": "weighted_product",
}
# Those of PUMAS that aren't here, and what is written for them.
_NEAR = {"harmonicmean": "geometric_mean", "deviationindex": "geometric_mean"}
_KEYS = {"type", "component", "filename", "filetype", "parallel", "use_pumas", "pumas_scoring"}
# Keys of a component of ours that aren't its own options.
_OURS = {"name", "label", "weight", "role", "transform"}
_ENDPOINT_KEYS = {"name", "weight", "params", "transform"}


def reward_of(section: Mapping[str, Any], notes: Notes) -> dict[str, Any]:
    """The table [reward] of a section whose components are in it. Raises ConversionError with one
    sentence where it isn't whole, or where nothing of it can be converted."""
    for key in sorted(section.keys() - _KEYS):
        notes.leave_out(f"scoring.{key} isn't known here")
    if section.get("parallel", 1) not in (False, 0, 1):
        notes.change("scoring.parallel: every core scores, without a setting")
    aggregate = _aggregate(str(section.get("type", "geometric_mean")), notes)
    given = section.get("component")
    if not isinstance(given, list) or not given:
        raise ConversionError("it has no scoring component")
    rows: list[dict[str, Any]] = []
    for component in given:
        for name, value in table(component, "a scoring component").items():
            rows += _component(name, table(value, f"component {name}"), notes)
    if aggregate in OF_0_TO_1:
        rows = [row for row in rows if _fits(row, aggregate, notes)]
    if not rows:
        raise ConversionError(
            f"none of its components can be converted: {'; '.join(notes.left_out)}"
        )
    if all(row.get("role") for row in rows):
        notes.change(
            "there are filters and penalties alone: `validity` is the 1 that they multiply"
        )
        rows.append({"name": "validity"})
    _label(rows)
    return {"aggregate": aggregate, "component": rows}


def _aggregate(given: str, notes: Notes) -> str:
    name = plain(given)
    if name in AGGREGATES:
        return AGGREGATES[name]
    if name in _NEAR:
        notes.leave_out(
            f"scoring.type = {given!r} isn't here: {_NEAR[name]} is written, which also is low "
            "where one component is"
        )
        return _NEAR[name]
    raise ConversionError(f"scoring.type = {given!r} isn't known")


def _component(name: str, value: dict[str, Any], notes: Notes) -> list[dict[str, Any]]:
    known = KNOWN.get(plain(name))
    if known is None:
        why = OTHERS.get(plain(name), FRAGMENTS if plain(name).startswith("fragment") else "")
        labels = [str(e.get("name", name)) for e in _list(value.get("endpoint"))]
        notes.leave_out(
            f"{name} ({', '.join(labels)}): {why or 'no component of that name is known here'}"
        )
        return []
    endpoints = value.get("endpoint")
    if not isinstance(endpoints, list) or not endpoints:
        raise ConversionError(f"component {name} has no endpoint")
    for key in sorted(value.keys() - {"endpoint", "params", "name"}):
        notes.leave_out(f"{name}.{key} isn't known here")
    if known.first_only and len(endpoints) > 1:
        notes.leave_out(f"{name}: only its first endpoint counts there, so the others are left out")
        endpoints = endpoints[:1]
    shared = table(value.get("params", {}), f"{name}.params")
    rows = [_endpoint(name, known, table(e, f"{name}.endpoint"), shared, notes) for e in endpoints]
    return [row for row in rows if row is not None]


def _list(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _endpoint(
    name: str, known: Known, given: dict[str, Any], shared: dict[str, Any], notes: Notes
) -> dict[str, Any] | None:
    """The table of a component; None where it can't be converted, which a note says."""
    for key in sorted(given.keys() - _ENDPOINT_KEYS):
        notes.leave_out(f"{name}.endpoint.{key} isn't known here")
    label = str(given.get("name", name)).strip() or name
    weight = number(given.get("weight", 1.0), f"weight of {label!r}")
    if not (weight >= 0 and math.isfinite(weight)):
        raise ConversionError(f"weight of {label!r} must be 0 or more, not {weight}")
    params = shared | table(given.get("params", {}), f"params of {label!r}")
    for key in sorted(params.keys() - known.options.keys()):
        notes.leave_out(f"{label}: its parameter {key} isn't known here")
    options = {known.options[k]: v for k, v in params.items() if k in known.options}
    if known.finish is not None:
        options = known.finish(options, notes)
    row: dict[str, Any] = {"name": known.name, "label": label, **options}
    if known.role != "score":
        row["role"] = known.role
        if weight != 1:
            notes.change(f"{label}: a {known.role} has no weight, and it had no effect there")
    elif weight != 1:
        row["weight"] = float(weight)
    if known.transform is not None:
        row["transform"] = dict(known.transform)
    if given.get("transform"):
        try:
            _add_transform(row, table(given["transform"], f"transform of {label!r}"), known, notes)
        except NotThereError as why:
            kind = given["transform"].get("type")
            notes.leave_out(f"{label}, which is `{known.name}`: its transform {kind!r}: {why}")
            return None
    return row


def _add_transform(row: dict[str, Any], given: dict[str, Any], known: Known, notes: Notes) -> None:
    """Adds ours. Raises NotThereError where none is equal."""
    if known.role == "filter":
        notes.leave_out(f"{row['label']}: its transform, since a filter passes or doesn't")
        return
    if known.name == "matched_pair" and isinstance(given.get("mapping"), dict):
        # theirs gives texts, ours 1 or 0
        words = {"MMP": "1", "No MMP": "0"}
        given = given | {"mapping": {words.get(k, k): v for k, v in given["mapping"].items()}}
    found = transform_of(given)
    # a component with two values has a mapping of them already
    row["transform"] = found if known.transform is None else _after(known.transform, found)


def _after(mapping: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """One value mapping that gives what `second` makes of the first one's values."""
    settings = {key: value for key, value in second.items() if key != "type"}
    values = apply(second["type"], list(mapping["mapping"].values()), **settings)
    return mapping | {"mapping": dict(zip(mapping["mapping"], map(float, values), strict=True))}


def _fits(row: dict[str, Any], aggregate: str, notes: Notes) -> bool:
    """Whether a score stays in 0..1, which means with powers ask for here and not there."""
    if row.get("role"):
        return True
    if "transform" in row:
        settings = {k: v for k, v in row["transform"].items() if k != "type"}
        low, high = TRANSFORMS[row["transform"]["type"]].range(-math.inf, math.inf, **settings)
    else:
        found = components("molecules")[row["name"]]
        if found.texts:  # each value is checked
            return True
        low, high = found.range_with({k: v for k, v in row.items() if k not in _OURS})
    if low >= 0 and high <= 1:
        return True
    notes.leave_out(
        f"{row['label']}, which is `{row['name']}`: its values go beyond 0..1, and {aggregate} "
        "needs them there: add it with a transform"
    )
    return False


def _label(rows: list[dict[str, Any]]) -> None:
    """Makes the labels differ, and leaves out those that are the component's name."""
    seen: dict[str, int] = {}
    for row in rows:
        label = row.pop("label", row["name"])
        seen[label] = seen.get(label, 0) + 1
        label = label if seen[label] == 1 else f"{label} {seen[label]}"
        if label != row["name"]:
            row["label"] = label

"""How a page shows single sequences: names of columns, pictures, neighbours, structures."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from sequence_tutor.distributed.report.page.beside import Beside
from sequence_tutor.distributed.report.page.rows import Rows
from sequence_tutor.rewards.base import Domain
from sequence_tutor.rewards.depiction import Depiction, Picture

# Best sequences that are drawn, and those whose structures can be taken from the page.
DRAWN, STRUCTURES = 48, 1000
# Bytes of sound and files in a page; of the sequences after that only the pictures are there.
MEDIA_BYTES = 8_000_000


def labels(rows: Rows) -> dict[str, str]:
    """What people read for the name of a column; those that say nothing new are left out."""
    named = {
        "order": "number of the score",
        "reward": "reward",
        "seconds": "seconds to score",
        "version": "policy's updates",
        "log_prob": "log-likelihood, nats",
    }
    found: dict[str, str] = {}

    def says_more(values: np.ndarray, than: str) -> bool:
        known = rows.numbers.get(than)
        return known is None or not np.array_equal(known[rows.valid], values[rows.valid], True)

    for name, values in rows.numbers.items():
        kind, _, component = name.partition(".")
        if np.isnan(values).all():
            continue
        if kind == "raw":
            if says_more(values, "reward"):
                found[name] = component
        elif kind == "transformed":
            if says_more(values, f"raw.{component}") and says_more(values, "reward"):
                found[name] = f"{component}, transformed"
        else:
            found[name] = named[name]
    first = [name for name in ("order", "reward") if name in found]
    return {name: found[name] for name in dict.fromkeys([*first, *found])}


def best_shown(rows: Rows, beside: Beside, domain: Domain) -> list[dict[str, Any]]:
    """The best sequences with their pictures, and their nearest neighbours in the data."""
    at = rows.best(DRAWN)
    keys = rows.keys(at)
    with domain.quiet():
        near, similarity = domain.nearest(keys, beside.corpus)
    found, media = [], 0
    for row, key, neighbour, alike in zip(
        at.tolist(), keys, near.tolist(), similarity.tolist(), strict=True
    ):
        depiction = domain.depict(key)
        own = len(depiction.sound) + sum(len(file.content) for file in depiction.files)
        media += own
        one = {"row": row, **_shown(depiction, media <= MEDIA_BYTES)}
        if neighbour >= 0:
            text = beside.corpus[neighbour]
            pictures = domain.depict(text).pictures[:1]
            one["nearest"] = {
                "sequence": text,
                "similarity": alike,
                "pictures": [_picture(picture) for picture in pictures],
            }
        found.append(one)
    return found


def _shown(depiction: Depiction, with_media: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "pictures": [_picture(picture) for picture in depiction.pictures],
        "remarks": list(depiction.remarks),
    }
    if with_media and depiction.sound:
        shown["sound"] = base64.b64encode(depiction.sound).decode()
    if with_media and depiction.files:
        shown["files"] = [
            {
                "name": file.name,
                "type": file.media_type,
                "content": base64.b64encode(file.content).decode(),
            }
            for file in depiction.files
        ]
    return shown


def _picture(picture: Picture) -> dict[str, str]:
    return {"svg": picture.svg, "text": picture.text, "title": picture.title}


def scaffolds(groups: dict[str, Any], domain: Domain) -> list[dict[str, str] | None]:
    """A picture of each group whose name is a sequence itself, such as a scaffold."""
    found: list[dict[str, str] | None] = []
    for cluster in groups["clusters"]:
        name = cluster["name"]
        drawn = name and domain.key(name) is not None
        pictures = domain.depict(name).pictures[:1] if drawn else ()
        found.append(_picture(pictures[0]) if pictures else None)
    return found


def structures(rows: Rows, domain: Domain) -> dict[str, Any]:
    """The records of a structure file for the best rows."""
    if not domain.structure_file:
        return {"rows": [], "records": []}
    at = rows.best(STRUCTURES)
    return {"rows": at.tolist(), "records": [domain.structure(key) for key in rows.keys(at)]}

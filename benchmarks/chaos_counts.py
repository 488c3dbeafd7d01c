"""What the chaos benchmark's reward has counted, compared with the record."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from common import markdown

from sequence_tutor.distributed.replay.record.writer import read_table


@dataclass
class Counts:
    """The reward's own notes: times at which calls began and ended, by key."""

    start: dict[str, list[float]] = field(default_factory=dict)
    done: dict[str, list[float]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, until: float = float("inf")) -> Counts:
        counts = cls()
        for line in path.read_text().splitlines():
            what, at, key = line.split(" ", 2)
            if float(at) <= until:
                getattr(counts, what).setdefault(key, []).append(float(at))
        return counts


def report_losses(
    counter: Path,
    record: Path,
    kills_at: list[float],
    flush_s: float,
    until: float = float("inf"),
) -> bool:
    """Compare the calls that the reward counted until some time with the record."""
    counts = Counts.read(counter, until)
    table = read_table(record)
    scored_at = table["scored_at"].cast("int64").to_numpy() / 1e6
    committed = dict(zip(table["key"].to_pylist(), scored_at.tolist(), strict=True))
    lost = {k: at for k, at in counts.done.items() if k not in committed}
    # rows that a shard got longer before the first kill than the time between two flushes
    beyond = [
        k for k, at in lost.items() if not any(0 <= t - at[-1] <= flush_s + 5 for t in kills_at)
    ]
    twice_after = [
        k for k, at in counts.start.items() if k in committed and any(t > committed[k] for t in at)
    ]
    more = sum(len(at) - 1 for at in counts.start.values())
    print(
        markdown(
            ["", "number"],
            [
                ["keys on record", len(committed)],
                ["keys on record twice", len(table) - len(committed)],
                ["scores begun", sum(map(len, counts.start.values()))],
                ["begun again before they were on record", more - len(twice_after)],
                ["**scored again after they were on record**", len(twice_after)],
                ["finished and not on record, within the flush bound of a kill", len(lost)],
                ["**finished and not on record, beyond it**", len(beyond)],
            ],
        )
    )
    return not twice_after and not beyond and len(committed) == len(table)

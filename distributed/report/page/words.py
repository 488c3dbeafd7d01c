"""A run in sentences, and what a reader should be warned of."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sequence_tutor.distributed.report.page.facts import BEST, in_largest
from sequence_tutor.distributed.report.page.rows import Rows, RunPart

# Share from which on a page warns: of invalid or repeated sequences, and of failures.
OFTEN = 0.5
# Nats per sequence from which on a policy is far from its data, and best rows of one group that
# make up the best.
FAR_NATS, ALIKE = 30.0, 0.5


def summary(
    parts: Sequence[RunPart], rows: Rows, last: Mapping[str, Any], groups: Mapping[str, Any] | None
) -> list[str]:
    """Some sentences on what was scored, found and learned."""
    things = parts[-1].config.domain.name
    paid = int(last.get("scores_used", 0) or np.nanmax(rows.numbers["order"], initial=0))
    said = []
    if seconds := last.get("elapsed_s"):
        said.append(f"{paid:,} {things} were scored in {in_words(seconds)}.")
    else:
        said.append(f"{paid:,} {things} were scored.")
    best = rows.best(BEST)
    rewards = rows.numbers["reward"]
    if len(best) >= 10:
        first = np.flatnonzero(rows.valid)[:BEST]
        said.append(
            f"The ten best have a reward of {rewards[best[:10]].mean():.3g} on average, the first "
            f"{len(first)} that were scored had {rewards[first].mean():.3g}."
        )
    origins = Counter(rows.words["source"][i] for i in best.tolist()).most_common()
    if len(origins) > 1:
        named = ", ".join(f"{count} from {_origin(source)}" for source, count in origins)
        said.append(f"Of the best {len(best)} there are {named}.")
    elif origins:
        said.append(f"The best {len(best)} all come from {_origin(origins[0][0])}.")
    if groups is not None and len(best) >= 10:
        inside = in_largest(rows, groups)
        said.append(
            f"By {groups['kind']} the best {groups['grouped']:,} fall into "
            f"{groups['different']:,} groups"
            + (f", and {inside} of the best {len(best)} into one." if inside > 1 else ".")
        )
    kl, updates = last.get("kl_to_prior"), last.get("updates") or 0
    if updates and kl is not None and math.isfinite(kl):
        said.append(
            f"After {updates:,} updates the policy is {kl:.1f} nats from its prior"
            + _valid(last.get("valid_share"))
        )
    elif not updates:
        said.append("The policy has made no update.")
    failed = sum(status not in ("ok", "invalid") for status in rows.words["status"])
    if failed:
        said.append(f"{failed:,} scores failed; the failures are listed below.")
    return said


def compared(names: Sequence[str], top10: Sequence[float], total: int) -> list[str]:
    """Which of several runs found the best; top10: the mean of the best ten of each."""
    said = [f"{len(names)} runs, {total:,} rows on record."]
    known = [(value, name) for value, name in zip(top10, names, strict=True) if np.isfinite(value)]
    if known:
        value, name = max(known)
        said.append(f"The best ten of {name} have the highest reward, {value:.3g} on average.")
    return said


def _origin(source: str) -> str:
    known = {
        "policy": "the policy",
        "genetic": "the genetic proposer",
        "data": "the data proposer",
        "warm-start": "the warm start",
        "report": "samples for the report",
    }
    return known.get(source, source)


def _valid(share: float | None) -> str:
    return "." if share is None else f", and {share:.0%} of what was proposed last was valid."


def warnings(
    parts: Sequence[RunPart], rows: Rows, last: Mapping[str, Any], groups: Mapping[str, Any] | None
) -> list[str]:
    """What may have gone wrong, and what to do about it."""
    said = []
    status = Counter(rows.words["status"])
    judged = len(rows) - status["invalid"]
    failed = judged - status["ok"]
    if judged and failed > OFTEN * judged:
        worst = max(("timeout", "crashed", "failed"), key=lambda name: status[name])
        said.append(
            f"{failed / judged:.0%} of the scores failed, most with status {worst}: see Failures."
        )
    if status["invalid"] > OFTEN * len(rows):
        said.append(
            f"{status['invalid'] / len(rows):.0%} of the sequences are invalid: raise "
            "learner.temperature, or ask for less KL."
        )
    repeated = last.get("repeated_share")
    if repeated is not None and repeated > OFTEN:
        said.append(
            f"{repeated:.0%} of the last sequences were known already: the policy repeats itself. "
            "Raise learner.temperature, or ask for less KL."
        )
    kl = last.get("kl_to_prior")
    if kl is not None and kl > FAR_NATS:
        said.append(
            f"The policy is {kl:.0f} nats from its prior: it may have forgotten what sequences of "
            "its data look like. Raise learner.temperature."
        )
    rewards = rows.numbers["reward"][rows.valid]
    if len(rewards) >= BEST and np.ptp(rewards) == 0:
        said.append(
            f"All {len(rewards):,} rewards are {rewards[0]:g}: nothing can be learned from them."
        )
    best = rows.best(BEST)
    if groups is not None and groups["clusters"] and len(best) >= 20:
        inside = in_largest(rows, groups)
        if inside > ALIKE * len(best) and all(p.config.diversity is None for p in parts):
            said.append(
                f"{inside} of the best {len(best)} are of one group ({groups['kind']}): a table "
                "[diversity] makes a run look elsewhere too."
            )
    return said


def in_words(seconds: float) -> str:
    """Such as "3 h 20 min"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"

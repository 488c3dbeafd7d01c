"""What proposers and screens are given: a replay in this process, and batches of episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from shards import open_shard

from sequence_tutor.distributed.generating.proposals import encoded, episodes_of
from sequence_tutor.distributed.replay.client import ReplayClient
from sequence_tutor.distributed.replay.shard_calls import LocalShardCalls
from sequence_tutor.distributed.types import Generated, Scored
from sequence_tutor.policies.encodings.base import Encoding

# Tables of a run with the genetic proposer and a screen that predicts the components.
SEARCHES_COMPONENTS = {
    "proposers": {"genetic": {"batch": 24}},
    "screen": {"batch": 24, "start": 40, "children": 16, "learns": "components"},
}


def open_replay(place: Path, shards: int = 2) -> ReplayClient:
    """An empty replay of shards in this process."""
    place.mkdir()
    return ReplayClient(LocalShardCalls([open_shard(place, i, shards) for i in range(shards)]))


def with_texts(scored: Scored, source: str = "policy") -> Scored:
    """The rows with their keys as sequences, all made by one proposer."""
    return replace(scored, sequences=list(scored.keys), sources=[source] * len(scored))


def batch_of(encoding: Encoding, texts: Sequence[str], source: str = "policy") -> Generated:
    """Episodes of texts, repeated ones included."""
    actions = encoded(encoding, texts)
    assert actions.keys() == set(texts), "the encoding can't express one of the texts"
    return Generated.by_one(episodes_of(actions[t] for t in texts), 0, "actor", source, 0.1)


def texts_of(encoding: Encoding, batch: Generated) -> list[str]:
    """The texts of a batch."""
    return [
        encoding.decode(tokens[:length])
        for tokens, length in zip(batch.episodes.tokens, batch.episodes.lengths, strict=True)
    ]

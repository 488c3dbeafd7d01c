"""The data proposer: sequences drawn at random from a file."""

from __future__ import annotations

import numpy as np

from sequence_tutor.distributed.replay.messages import RecordView
from sequence_tutor.distributed.search_config import DataConfig
from sequence_tutor.policies.files.table_reader import CorpusError, read_sequences
from sequence_tutor.rewards.base import Domain


class DataProposer:
    """Proposes sequences drawn from a file, as they are written there. Invalid ones and those on
    record already are left out later, as of every proposer. Raises CorpusError."""

    wants, canonical = (0, 0), False

    def __init__(self, config: DataConfig, domain: Domain) -> None:
        read = read_sequences(config.file, config.column, tolerant=True)
        self._sequences = [text for _, text in read if text]
        if not self._sequences:
            raise CorpusError(f"{config.file} has no sequence")

    def propose(self, n: int, view: RecordView, random: np.random.Generator) -> list[str]:
        """n sequences of the file, all different; all of them where it has fewer."""
        size = len(self._sequences)
        return [self._sequences[i] for i in random.choice(size, min(n, size), replace=False)]

"""All components of molecules; importing this registers them."""

from __future__ import annotations

from sequence_tutor.rewards.molecules import paper_objective, tasks
from sequence_tutor.rewards.molecules.docking import component as docking
from sequence_tutor.rewards.molecules.measures import (
    alerts,
    counts,
    matched_pair,
    novelty,
    properties,
    reaction,
    rings,
    shape,
    similarity,
    substructure,
    taste,
)
from sequence_tutor.rewards.molecules.models import model

__all__ = [
    "alerts",
    "counts",
    "docking",
    "matched_pair",
    "model",
    "novelty",
    "paper_objective",
    "properties",
    "reaction",
    "rings",
    "shape",
    "similarity",
    "substructure",
    "tasks",
    "taste",
]

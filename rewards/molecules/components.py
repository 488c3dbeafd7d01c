"""All components of molecules; importing this registers them."""

from __future__ import annotations

from sequence_tutor.rewards.molecules import paper_objective, properties, tasks

__all__ = ["paper_objective", "properties", "tasks"]

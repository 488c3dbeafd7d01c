"""Rewards for molecules and melodies: components, transforms, aggregation, metrics, isolation.

Nothing here imports Ray or torch, so a reward can be used and tested in a plain Python process.
"""

from __future__ import annotations

from typing import Any

if __name__ == "rewards":
    raise ImportError("import sequence_tutor.rewards instead of rewards")


def score_one(name: str, smiles: str, /, **options: Any) -> float:
    """The value that a component of molecules gives to one SMILES, without a transform:
    `score_one("similarity", "CCO", smiles="CCN")`.

    Raises ValueError with one sentence for an unknown name or option, for an invalid molecule, and
    where the component fails. To score many molecules, build a reward.
    """
    # imported here, so that `import sequence_tutor.rewards` alone loads no RDKit
    from sequence_tutor.rewards.single import value_of

    return value_of(name, smiles, options)

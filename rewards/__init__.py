"""Rewards for molecules and melodies: components, transforms, aggregation, metrics, isolation.

Nothing here imports Ray or torch, so a reward can be used and tested in a plain Python process.
"""

if __name__ == "rewards":
    raise ImportError("import sequence_tutor.rewards instead of rewards")

"""What is good: rewards for molecules and melodies, their transforms, aggregation and metrics.

Nothing here knows Ray or torch, so a reward can be used and tested in a plain Python process.
"""

if __name__ == "rewards":
    raise ImportError("import sequence_tutor.rewards instead of rewards")

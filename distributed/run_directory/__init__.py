"""The directory of a run: checkpoints, a working copy, resuming, and rows for a warm start."""

"""What a run directory holds: checkpoints, a working copy, what resuming and a warm start need."""

"""Generates episodes: actors sample the newest policy, and `actor_scaling` sets their number."""

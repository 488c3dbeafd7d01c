"""Starts or joins a Ray cluster: its address, CPUs and GPUs for a run, storage credentials."""

"""Fast inner loops of the network, on CPUs and GPUs."""

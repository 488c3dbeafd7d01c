"""Fast inner loops of the network on CPUs and GPUs: stepping, training over prefixes, sampling."""

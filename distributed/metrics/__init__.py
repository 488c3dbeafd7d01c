"""The metrics of a run: counters (tally), bottleneck, files, the display and Prometheus."""

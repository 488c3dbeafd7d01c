"""What a run says about itself: counters (tally), files, the display and Prometheus."""

"""Where sequences come from: actors that sample the newest policy, and how many there are."""

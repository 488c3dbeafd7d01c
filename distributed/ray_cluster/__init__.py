"""Getting into a Ray cluster: its address, room for the run, credentials for storage."""

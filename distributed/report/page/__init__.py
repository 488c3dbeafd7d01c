"""The page about a run: one HTML file that needs neither a network nor a server."""

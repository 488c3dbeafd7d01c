"""A module with a mistake."""

raise RuntimeError("half written")

"""The commands of `sequence-tutor`: `cli` parses their arguments, and each has a module."""

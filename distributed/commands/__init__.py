"""What `sequence-tutor` does: `cli` parses arguments, and each command has a module."""

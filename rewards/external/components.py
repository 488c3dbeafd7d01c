"""Registers the components of every domain, by importing their modules."""

from sequence_tutor.rewards.external import function, process, rest

__all__ = ["function", "process", "rest"]

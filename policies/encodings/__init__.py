"""Sequences as actions: the interface (base), SMILES, melodies, and a registry by name."""

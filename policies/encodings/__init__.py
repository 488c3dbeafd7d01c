"""Encodings of sequences as actions: the interface (`base`), SMILES, melodies, and a registry."""

"""MIDI files to melodies: notes of a file (`read`), one voice (`line`), its `key`, a `corpus`."""

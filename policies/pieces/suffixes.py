"""Name endings of files of music."""

MIDI = (".mid", ".midi", ".kar", ".rmi", ".smf")
PACKED_SCORES = (".mxl",)
SCORES = (".musicxml", ".xml", ".abc", ".krn", ".mei", *PACKED_SCORES)
SUFFIXES = (*MIDI, *SCORES)

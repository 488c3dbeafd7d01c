"""Name endings of files of music."""

MIDI = (".mid", ".midi", ".kar", ".rmi", ".smf")
SUFFIXES = MIDI

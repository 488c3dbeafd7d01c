"""From MIDI files to melodies: onsets (read), one voice (line), its key, whole corpora."""

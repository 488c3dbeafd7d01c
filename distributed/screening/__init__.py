"""Chooses, among many proposed sequences, those worth a score: `surrogate` predicts, `screen`
chooses."""

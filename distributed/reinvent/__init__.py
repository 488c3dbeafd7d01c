"""The way over from REINVENT4: its config files as ours. Scoring sections are translated by
`rewards.reinvent`, what they belong to here."""

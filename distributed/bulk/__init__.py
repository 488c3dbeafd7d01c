"""Scoring a file of any size: every line once, through restarts, in the order of the file.

`lines` reads the file and cuts it into batches, `estimate` says how long the rest takes, `results`
stores one small file of results per batch, `assemble` joins these into one table at the end, beside
the user's own columns from `carried`. Nothing here imports Ray; memory stays bounded for a file of
any length.
"""

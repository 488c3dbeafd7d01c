"""Scoring a file of any size: every line once, through restarts, in the order of the file.

`lines` reads the file and cuts it into batches, `estimate` says how long it will take, `results`
keeps what is done as one small file per batch, `assemble` makes one table of these in the end, with
the user's own columns from `carried` beside the results. Nothing here knows Ray; memory stays
bounded however long the file is.
"""

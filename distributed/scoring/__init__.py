"""Scorers: processes that score sequences, and how tasks are given to them.

scorer.py      scores one batch: keys, claims, the reward, rows for the record (no Ray)
columns.py     columns of these rows: values by step, sequences that no reward is given
attachments.py files that a reward keeps beside a score
process.py     a scorer as a Ray actor, with a heartbeat
task.py        what a scorer is given: rows of a generated batch, or anything else that can be cut
batch_size.py  how many sequences a task should have
fleet.py       how many scorers there are, which are up, which can take a task
pool.py        tasks in, reports out; lost tasks are handed out again
lines.py       scores lines of a file (no Ray); ray_lines.py: the same through a pool of scorers
"""

"""Who judges sequences: scorer processes, and how tasks find their way through them.

scorer.py      one batch, judged: keys, claims, the reward, rows for the record (no Ray)
process.py     that as a Ray actor, with a heartbeat
task.py        what is handed to it: rows of a generated batch, or whatever else can be cut
batch_size.py  how many sequences a task should have
fleet.py       how many scorers there are, which are up, which has room
pool.py        tasks in, reports out; what is lost is handed out again
"""

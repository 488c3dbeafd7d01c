"""What rows are worth to training, to proposers and to the screen; nothing here imports Ray.

A row's reward on record never changes. What it is worth may: `[diversity]` lowers what there is
enough of. That is a function of the rows on record alone, not of their order or of the number of
shards, so a resumed run and a restarted shard go on with the same.
"""

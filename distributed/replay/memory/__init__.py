"""What a shard holds in memory; nothing here imports Ray.

shard_memory composes outcome_index (the outcome of every key; key_index finds its row), kept_rows
(which rows are held whole: the newest and the best) and columns (those rows).
"""

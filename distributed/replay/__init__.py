"""The replay: the durable, keyed memory of every sequence ever scored.

A shard owns the keys that hash to it. `record` puts rows to rest as Parquet parts, `columns` holds
them in memory, `sampler` chooses what the learner sees, `shard` composes the three, `sharded` is
the client over many shards in their own processes, `rate` keeps learner and actors in step.
"""

"""The replay: the durable, keyed memory of every sequence ever scored.

A shard owns the keys that hash to it: each is known, being scored by somebody, or free.

    record/        rows at rest, as Parquet parts
    memory/        rows in memory: the outcome of every key, the newest and best rows whole
    claims         leases on keys that are being scored
    sampler        what the learner sees; respelling: other spellings of it; rate: keeps learner and
                   actors in step
    shard          composes them; messages: what it says

    client         all shards behind one face, for the driver
    scorer_client  the same for a scorer; shard_calls: what both say goes through here
"""

"""The replay: the durable, keyed memory of every sequence ever scored.

A shard owns the keys that hash to it. A key is known, being scored by one scorer, or free.

    record/         rows at rest, as Parquet parts
    memory/         rows in memory: the outcome of every key, the newest and best rows whole
    claims          which scorer is scoring which key
    sampler         chooses the rows that the learner gets
    respelling      gives sampled rows other spellings
    rate            the replay ratio, which keeps learner and actors in step
    shard           composes these; messages: its answers; shard_settings: its options by the config

    client          all shards as one, for the driver
    scorer_client   all shards as one, for a scorer
    shard_calls     how both call shards in this process; ray_shards: shards in Ray actors
"""

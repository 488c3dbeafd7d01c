"""The replay: the durable, keyed memory of every sequence ever scored.

A shard owns the keys that hash to it: each is known, being scored by somebody, or free.

    record    rows at rest, as Parquet parts; store: where they lie
    content   rows in memory: the outcome of every key (ledger, index), the newest and best rows
              whole (hot, columns); reload: its return from the record; retried: the failures that
              are left out then
    claims    leases on keys that are being scored
    sampler   what the learner sees; rate: keeps learner and actors in step
    shard     composes them; answers: what it says

    sharded   the client over many shards in their own processes, for the driver
    claimant  the same for a scorer; calls: what both say goes through here
    alone     the record without shards, for the only scorer that there is
"""

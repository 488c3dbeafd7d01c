"""The record at rest: Parquet parts in a directory or an object store.

store knows where they are; writer writes them, one writer per shard; reload reads them into a
shard's memory; retried lists failed rows that don't count and are tried again; alone is the record
without shards, for a process that is the only one to score.
"""

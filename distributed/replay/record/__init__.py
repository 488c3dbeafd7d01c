"""The record at rest: Parquet parts in a directory or an object store.

store says where they lie; writer writes them, one writer per shard; reload reads them back; retried
lists failures that are left out, to be tried again; alone is the record without shards, for the
only process that scores.
"""

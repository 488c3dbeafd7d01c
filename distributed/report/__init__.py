"""The report on a run for people: prior and policy compared, rewards on record, drawings."""

"""What a run leaves for people: prior and policy compared, rewards on record, drawings."""

"""What people see of a melody: a piano roll that marks broken rules, and engraved notes."""

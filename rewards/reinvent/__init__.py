"""A scoring section of REINVENT4 as a [reward] of ours: tables of names, and what has no equal.

What is the same was measured: `tests/unit/rewards/test_reinvent4.py` and `test_transforms.py`.
"""

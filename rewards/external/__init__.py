"""Components that leave this package: a user's function, program or server, for every domain.

They are given sequences as text. What they start (programs, connections, a user's state) starts at
the first score in the process that scores, and is ended with it.
"""
